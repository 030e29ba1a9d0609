package bootstrap

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"holdfast/lab/k3s/internal/paths"
)

func TestSealedRecordOpensWithItsPasswordAlone(t *testing.T) {
	sealed, err := encrypt("right", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := decrypt("right", sealed); err != nil || string(plain) != "secret" {
		t.Errorf("decrypt: %q, %v", plain, err)
	}
	if _, err := decrypt("wrong", sealed); err == nil {
		t.Error("a wrong password opened it")
	}
	if Key("right") == Key("wrong") {
		t.Error("two passwords share a key")
	}
}

func TestReconcile(t *testing.T) {
	recorded := time.Now().Add(-time.Hour)
	for name, test := range map[string]struct {
		onDisk  string
		age     time.Duration // how much newer than the record the file is
		refused bool
	}{
		"missing":          {"", 0, false},
		"same, newer":      {"recorded", time.Minute, false},
		"differs, older":   {"other", -time.Minute, false},
		"differs, as old":  {"other", time.Second, false},
		"differs, changed": {"other", time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := paths.New(t.TempDir())
			if test.onDisk != "" {
				if err := os.MkdirAll(filepath.Dir(p.IPSecKey), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(p.IPSecKey, []byte(test.onDisk), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(p.IPSecKey, recorded, recorded.Add(test.age)); err != nil {
					t.Fatal(err)
				}
			}
			err := Reconcile(Record{"IPSECKey": {Timestamp: recorded, Content: []byte("recorded")}}, p)
			var newer *NewerError
			if errors.As(err, &newer) != test.refused {
				t.Fatalf("error: %v", err)
			}
			content, _ := os.ReadFile(p.IPSecKey)
			if got := string(content) == "recorded"; got == test.refused {
				t.Errorf("on disk: %q", content)
			}
		})
	}
}
