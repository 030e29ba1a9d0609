package config

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoadMergesFilesAndFlags(t *testing.T) {
	main := filepath.Join(t.TempDir(), "config.yaml")
	write(t, main, "node-name: one\ndisable: [traefik]\nkubelet-arg: [a=1]\nselinux: true\n")
	write(t, main+".d/10.yaml", "node-name: two\nkubelet-arg+: ['b=2,c']\nno-such-key: 1\n")
	write(t, main+".d/20.yml", "disable: servicelb,coredns\n")
	write(t, main+".d/30.txt", "node-name: ignored\n")
	for name, args := range map[string][]string{
		"files alone": {"--config=" + main}, "flag separate": {"-c", main},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := Load(args)
			if err != nil {
				t.Fatal(err)
			}
			if got := config.String("node-name"); got != "two" {
				t.Errorf("node-name = %q", got)
			}
			if got, want := config.List("kubelet-arg"), []string{"a=1", "b=2,c"}; !reflect.DeepEqual(got, want) {
				t.Errorf("kubelet-arg = %q, want %q", got, want)
			}
			if got, want := config.SplitList("disable"), []string{"servicelb", "coredns"}; !reflect.DeepEqual(got, want) {
				t.Errorf("disable = %q, want %q", got, want)
			}
			if !config.Bool("selinux") || config.Bool("debug") {
				t.Error("booleans are wrong")
			}
		})
	}
	config, err := Load([]string{"-c", main, "--node-name", "three", "--disable=x", "--disable=y"})
	if err != nil {
		t.Fatal(err)
	}
	if got := config.String("node-name"); got != "three" {
		t.Errorf("the command line lost: %q", got)
	}
	if got, want := config.List("disable"), []string{"x", "y"}; !reflect.DeepEqual(got, want) {
		t.Errorf("disable = %q, want %q", got, want)
	}
}

func TestLoadRefusesWhatItCannotRead(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "config.yaml")
	write(t, broken, "a: [\n")
	for name, args := range map[string][]string{
		"unknown flag": {"-c", "/nonexistent", "--nosuch"}, "no value": {"-c", "/nonexistent", "--node-name"}, "broken file": {"-c", broken},
	} {
		if _, err := Load(args); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
