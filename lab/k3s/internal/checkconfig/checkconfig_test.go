package checkconfig

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeConfig(t *testing.T, enabled []string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	text := "# CONFIG_NOTHING is not set\n"
	for _, name := range enabled {
		text += "CONFIG_" + name + "=m\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMissingOptionsAreFailures(t *testing.T) {
	cases := []struct {
		name    string
		enabled []string
		missing int
	}{
		{"all there", needed, 0},
		{"two gone", needed[2:], 2},
		{"optional ones do not count", append([]string{"OVERLAY_FS"}, needed...), 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			absent := filepath.Join(t.TempDir(), "absent")
			path, options, err := readKernelConfig([]string{absent, writeConfig(t, c.enabled)})
			if err != nil || path == absent {
				t.Fatal(path, err)
			}
			var out bytes.Buffer
			check := &run{out: &out}
			check.kernel(options)
			if got := strings.Count(out.String(), ": missing (fail)"); got != c.missing {
				t.Errorf("got %d failures:\n%s", got, out.String())
			}
		})
	}
}

func TestSectionsInOrder(t *testing.T) {
	t.Setenv("CONFIG", writeConfig(t, needed))
	t.Setenv("NO_COLOR", "1")
	var out bytes.Buffer
	failures := Command(t.TempDir(), &out)
	text := out.String()
	position := 0
	for _, section := range []string{"Verifying binaries", "System:", "Limits:", "Generally Necessary:", "Optional Features:", "STATUS: "} {
		next := strings.Index(text[position:], section)
		if next < 0 {
			t.Fatalf("%s is missing or out of order:\n%s", section, text)
		}
		position += next
	}
	if failures < len(binaries) || strings.Contains(text, "\033") {
		t.Errorf("%d failures without any binary, or colour with NO_COLOR:\n%s", failures, text)
	}
}

func TestNoKernelConfigIsAnError(t *testing.T) {
	if _, _, err := readKernelConfig([]string{filepath.Join(t.TempDir(), "absent")}); err != errNoKernelConfig {
		t.Errorf("got %v", err)
	}
}
