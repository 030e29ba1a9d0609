package certcheck

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

// makeLeaf writes a leaf followed by its CA, as k3s does, and returns the data directory.
func makeLeaf(t *testing.T, name string, from, until time.Time) string {
	t.Helper()
	dataDir := t.TempDir()
	path := filepath.Join(dataDir, "server/tls", name+".crt")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dataDir, "agent"), 0o755); err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "k3s-client-ca@1"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: from, NotAfter: from.Add(3650 * day), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "system:admin"}, NotBefore: from, NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	var text []byte
	for _, template := range []*x509.Certificate{leaf, ca} {
		der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(strings.TrimSuffix(path, ".crt")+".key", []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dataDir
}

func TestStatusByTime(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	cases := map[string]struct{ from, until time.Time }{
		"OK":            {now.Add(-day), now.Add(364 * day)},
		"WARNING":       {now.Add(-day), now.Add(119 * day)},
		"EXPIRED":       {now.Add(-2 * day), now.Add(-day)},
		"NOT YET VALID": {now.Add(day), now.Add(365 * day)},
	}
	for want, c := range cases {
		t.Run(want, func(t *testing.T) {
			report, err := Inspect(makeLeaf(t, "client-admin", c.from, c.until), []string{"admin"}, now)
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Certificates) != 2 || report.Certificates[0].Status != want {
				t.Fatalf("got %+v", report.Certificates)
			}
			if report.Certificates[0].Filename != report.Certificates[1].Filename {
				t.Error("a leaf and its CA must carry the same file name")
			}
		})
	}
}

func TestJSONShape(t *testing.T) {
	now := time.Now()
	report, err := Inspect(makeLeaf(t, "client-admin", now.Add(-day), now.Add(365*day)), []string{"admin"}, now)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Print(&out, report, "json"); err != nil {
		t.Fatal(err)
	}
	var shape struct{ Certificates []map[string]any }
	if err := json.Unmarshal(out.Bytes(), &shape); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"Filename", "Subject", "Issuer", "Usages", "ExpiryTime", "ResidualTime", "Status"} {
		if _, ok := shape.Certificates[0][key]; !ok || len(shape.Certificates[0]) != 7 {
			t.Errorf("key %s: %v", key, shape.Certificates[0])
		}
	}
}

func TestTableStartsWithAnEmptyLine(t *testing.T) {
	now := time.Now()
	report, err := Inspect(makeLeaf(t, "client-admin", now.Add(-day), now.Add(365*day)), []string{"admin"}, now)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Print(&out, report, "table"); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if lines[0] != "" || strings.Join(strings.Fields(lines[1]), " ") != "FILENAME SUBJECT USAGES EXPIRES RESIDUAL TIME STATUS" {
		t.Errorf("got %q", lines[:2])
	}
	if !strings.Contains(lines[3], "1 year") || !strings.HasSuffix(lines[3], "OK") {
		t.Errorf("leaf: %q", lines[3])
	}
	if !strings.Contains(lines[4], "CertSign") || !strings.Contains(lines[4], "10 years") {
		t.Errorf("CA: %q", lines[4])
	}
}

func TestRotateKeepsACopy(t *testing.T) {
	now := time.Unix(1700000000, 0)
	dataDir := makeLeaf(t, "client-admin", now.Add(-day), now.Add(day))
	if err := Rotate(dataDir, []string{"admin"}, now); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{".crt", ".key"} {
		if _, err := os.Stat(filepath.Join(dataDir, "server/tls/client-admin"+suffix)); !os.IsNotExist(err) {
			t.Errorf("%s was kept", suffix)
		}
		if _, err := os.Stat(filepath.Join(dataDir, "server/tls-1700000000/client-admin"+suffix)); err != nil {
			t.Errorf("%s has no copy: %v", suffix, err)
		}
	}
}

func TestUnknownServiceIsNamed(t *testing.T) {
	_, err := selectServices([]string{"admin,nosuch"})
	if err == nil || err.Error() != "service nosuch is not recognized" {
		t.Errorf("got %v", err)
	}
}
