package certs

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"holdfast/lab/k3s/internal/paths"
)

var options = Options{NodeName: "n", NodeIP: "10.0.0.1", ClusterDomain: "cluster.local", ServiceIP: "10.43.0.1"}

func layout(t *testing.T) paths.Paths {
	t.Helper()
	p := paths.New(t.TempDir())
	for _, directory := range []string{p.TLS, p.Agent} {
		if err := os.MkdirAll(directory, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func TestLeavesAreRenewedWhenDue(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for name, test := range map[string]struct {
		after   time.Duration
		options Options
		renewed bool
	}{
		"next day":            {day, options, false},
		"one day before due":  {244 * day, options, false},
		"120 days before end": {245 * day, options, true},
		"expired":             {400 * day, options, true},
		"new name":            {day, Options{NodeName: "n", NodeIP: "10.0.0.1", ClusterDomain: "cluster.local", ServiceIP: "10.43.0.1", ExtraNames: []string{"k3s.example"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := layout(t)
			file := filepath.Join(p.TLS, "serving-kube-apiserver.crt")
			var serial [2]string
			var authority [2]string
			for i, step := range []struct {
				options Options
				now     time.Time
			}{{options, start}, {test.options, start.Add(test.after)}} {
				if err := Ensure(p, step.options, step.now); err != nil {
					t.Fatal(err)
				}
				chain, err := ReadCertificates(file)
				if err != nil {
					t.Fatal(err)
				}
				serial[i], authority[i] = chain[0].SerialNumber.String(), chain[1].Subject.CommonName
			}
			if got := serial[0] != serial[1]; got != test.renewed {
				t.Errorf("renewed = %v, want %v", got, test.renewed)
			}
			if authority[0] != authority[1] {
				t.Error("the authority was made anew")
			}
		})
	}
}

func TestListenerIsKeptUntilAskedToGo(t *testing.T) {
	p, now := layout(t), time.Now()
	if err := Ensure(p, options, now); err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		t.Helper()
		pair, err := Listener(p, options, now)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.String()
	}
	first := serial()
	if serial() != first {
		t.Error("made anew without need")
	}
	if err := os.WriteFile(filepath.Join(p.TLS, "dynamic-cert-regenerate"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if serial() == first {
		t.Error("kept although asked to go")
	}
}
