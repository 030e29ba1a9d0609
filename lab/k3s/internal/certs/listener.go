package certs

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"holdfast/lab/k3s/internal/paths"
)

// secretFile is the shape of dynamic-cert.json: a Secret of the kind kubernetes.io/tls.
type secretFile struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Type       string            `json:"type"`
	Metadata   map[string]string `json:"metadata"`
	Data       map[string][]byte `json:"data"`
}

// Listener is the certificate of the supervisor's port. It lives in dynamic-cert.json; when it nears its end, lacks a
// name or is asked to go (a file dynamic-cert-regenerate), a new one is signed.
func Listener(p paths.Paths, options Options, now time.Time) (*tls.Certificate, error) {
	file, trigger := filepath.Join(p.TLS, "dynamic-cert.json"), filepath.Join(p.TLS, "dynamic-cert-regenerate")
	if _, err := os.Stat(trigger); err == nil {
		if err := errors.Join(os.RemoveAll(file), os.Remove(trigger)); err != nil {
			return nil, err
		}
	}
	signer, err := loadOrMakeAuthority(filepath.Join(p.TLS, ServerCA), "k3s-"+ServerCA, now)
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(filepath.Join(p.TLS, "temporary-certs"), "listener-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	certificate, key := filepath.Join(work, "tls.crt"), filepath.Join(work, "tls.key")
	if content, err := os.ReadFile(file); err == nil {
		var kept secretFile
		if json.Unmarshal(content, &kept) == nil && len(kept.Data["tls.crt"]) > 0 && len(kept.Data["tls.key"]) > 0 {
			if err := errors.Join(os.WriteFile(certificate, kept.Data["tls.crt"], 0o600), os.WriteFile(key, kept.Data["tls.key"], 0o600)); err != nil {
				return nil, err
			}
		}
	}
	want := leaf{commonName: "k3s", groups: []string{"k3s"}, names: append(options.apiNames(), options.ExtraNames...)}
	if err := signer.ensure(certificate, key, 0o600, want, now); err != nil {
		return nil, err
	}
	secret := secretFile{
		APIVersion: "v1", Kind: "Secret", Type: "kubernetes.io/tls",
		Metadata: map[string]string{"name": "k3s-serving", "namespace": "kube-system"}, Data: map[string][]byte{},
	}
	for name, path := range map[string]string{"tls.crt": certificate, "tls.key": key} {
		if secret.Data[name], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	content, err := json.Marshal(secret)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
	return &pair, err
}
