package certcheck

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// warnWithin is how long before its end a certificate is renewed at the next start.
const warnWithin = 120 * 24 * time.Hour

// Entry is one certificate found on disk; a leaf's file holds its CA as well, which gives a second entry.
type Entry struct {
	Filename     string
	Subject      string
	Issuer       string
	Usages       []string
	ExpiryTime   time.Time
	ResidualTime time.Duration
	Status       string
}

// Report is what `certificate check -o json` prints.
type Report struct {
	Certificates []Entry
}

// Inspect reads the certificates of the services as they stand at the moment now.
func Inspect(dataDir string, services []string, now time.Time) (Report, error) {
	report := Report{Certificates: []Entry{}}
	for _, service := range services {
		paths, _ := pathsOf(dataDir, service)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if os.IsNotExist(err) {
				continue
			}
			if err != nil {
				return report, err
			}
			entries, err := inspectPEM(path, text, now)
			if err != nil {
				return report, err
			}
			report.Certificates = append(report.Certificates, entries...)
		}
	}
	return report, nil
}

func inspectPEM(path string, text []byte, now time.Time) ([]Entry, error) {
	var entries []Entry
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		entries = append(entries, Entry{
			Filename:     filepath.Base(path),
			Subject:      certificate.Subject.CommonName,
			Issuer:       certificate.Issuer.CommonName,
			Usages:       usages(certificate),
			ExpiryTime:   certificate.NotAfter,
			ResidualTime: certificate.NotAfter.Sub(now),
			Status:       status(certificate, now),
		})
	}
	return entries, nil
}

func usages(certificate *x509.Certificate) []string {
	found := []string{}
	if certificate.KeyUsage&x509.KeyUsageCertSign != 0 {
		found = append(found, "CertSign")
	}
	for _, usage := range certificate.ExtKeyUsage {
		switch usage {
		case x509.ExtKeyUsageServerAuth:
			found = append(found, "ServerAuth")
		case x509.ExtKeyUsageClientAuth:
			found = append(found, "ClientAuth")
		}
	}
	return found
}

func status(certificate *x509.Certificate, now time.Time) string {
	switch {
	case now.Before(certificate.NotBefore):
		return "NOT YET VALID"
	case now.After(certificate.NotAfter):
		return "EXPIRED"
	case now.Add(warnWithin).After(certificate.NotAfter):
		return "WARNING"
	default:
		return "OK"
	}
}
