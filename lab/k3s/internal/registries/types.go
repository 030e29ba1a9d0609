// Package registries turns k3s's registries.yaml into what containerd reads: one hosts.toml for each registry and
// the credentials that belong into config.toml.
package registries

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

// Mirror names the endpoints that are asked instead of a registry.
type Mirror struct {
	Endpoints []string          `json:"endpoint"`
	Rewrites  map[string]string `json:"rewrite"`
}

// Auth holds the credentials of one registry.
type Auth struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identity_token"`
}

// TLS holds how one registry is verified and how we show who we are.
type TLS struct {
	CAFile             string `json:"ca_file"`
	CertFile           string `json:"cert_file"`
	KeyFile            string `json:"key_file"`
	InsecureSkipVerify bool   `json:"insecure_skip_verify"`
}

func (t *TLS) set() bool { return t != nil && *t != TLS{} }

// Config is what is known of one registry, reached directly or as somebody's mirror.
type Config struct {
	Auth *Auth `json:"auth"`
	TLS  *TLS  `json:"tls"`
}

// Registry is the whole file. Unknown keys are ignored, as k3s does.
type Registry struct {
	Mirrors map[string]Mirror `json:"mirrors"`
	Configs map[string]Config `json:"configs"`
}

// Parse reads the text of a registries.yaml.
func Parse(text []byte) (*Registry, error) {
	registry := &Registry{}
	if err := yaml.Unmarshal(text, registry); err != nil {
		return nil, fmt.Errorf("registries.yaml: %w", err)
	}
	return registry, nil
}

// Load reads the file at path; a missing file is an empty configuration.
func Load(path string) (*Registry, error) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return &Registry{}, nil
	}
	if err != nil {
		return nil, err
	}
	return Parse(text)
}
