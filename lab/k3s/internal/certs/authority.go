package certs

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"sort"
	"strings"
	"time"
)

const (
	authorityYears = 10
	leafLife       = 365 * 24 * time.Hour
	// RenewWithin is how long before its end a leaf is made anew at start.
	RenewWithin = 120 * 24 * time.Hour
)

// authority is one CA: its certificate and its key.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// loadOrMakeAuthority reads a CA from name.crt and name.key, or makes both.
func loadOrMakeAuthority(name, commonName string, now time.Time) (*authority, error) {
	key, err := loadOrMakeKey(name + ".key")
	if err != nil {
		return nil, err
	}
	chain, err := ReadCertificates(name + ".crt")
	if err == nil {
		return &authority{chain[0], key}, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(0),
		Subject:               pkix.Name{CommonName: fmt.Sprintf("%s@%d", commonName, now.Unix())},
		NotBefore:             now.UTC(),
		NotAfter:              now.AddDate(authorityYears, 0, 0).UTC(),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{certificate, key}, writePEM(name+".crt", 0o644, certificateBlock(certificate))
}

// leaf describes one certificate that an authority signs.
type leaf struct {
	commonName string
	groups     []string // organizations: the groups of a client
	names      []string // subject alternative names, DNS names and addresses; a server has some
}

// ensure keeps the certificate in certFile when it may be kept, and signs a new one with the key in keyFile otherwise.
func (a *authority) ensure(certFile, keyFile string, mode os.FileMode, want leaf, now time.Time) error {
	key, err := loadOrMakeKey(keyFile)
	if err != nil {
		return err
	}
	if chain, err := ReadCertificates(certFile); err == nil && !a.mustRenew(chain[0], key, want, now) {
		return nil
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 62))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: want.commonName, Organization: want.groups},
		NotBefore:    a.certificate.NotBefore,
		NotAfter:     now.Add(leafLife).UTC(),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if len(want.names) > 0 {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		template.DNSNames, template.IPAddresses = splitNames(want.names)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	return writePEM(certFile, mode, certificateBlock(certificate), certificateBlock(a.certificate))
}

// mustRenew decides over a certificate on disk: it goes when it nears its end, was signed by another authority, fits
// another key, or lacks a name.
func (a *authority) mustRenew(have *x509.Certificate, key crypto.Signer, want leaf, now time.Time) bool {
	public, ok := have.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(key.Public()) || have.CheckSignatureFrom(a.certificate) != nil {
		return true
	}
	if have.Subject.CommonName != want.commonName || NearsEnd(have, now) {
		return true
	}
	present := map[string]bool{}
	for _, name := range have.DNSNames {
		present[name] = true
	}
	for _, address := range have.IPAddresses {
		present[address.String()] = true
	}
	for _, name := range want.names {
		if !present[name] {
			return true
		}
	}
	return false
}

// NearsEnd tells whether a leaf is renewed at a start at the moment now.
func NearsEnd(certificate *x509.Certificate, now time.Time) bool {
	return !now.Add(RenewWithin).Before(certificate.NotAfter)
}

func splitNames(names []string) (dns []string, addresses []net.IP) {
	seen := map[string]bool{}
	for _, name := range names {
		name = strings.TrimSpace(name)
		if name == "" || seen[name] {
			continue
		}
		seen[name] = true
		if address := net.ParseIP(name); address != nil {
			addresses = append(addresses, address)
		} else {
			dns = append(dns, name)
		}
	}
	sort.Strings(dns)
	return dns, addresses
}
