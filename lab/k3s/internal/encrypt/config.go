// Package encrypt is encryption of Secrets at rest: the API server's configuration, the stage of a key rotation, and
// the subcommand `k3s secrets-encrypt`.
package encrypt

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"holdfast/lab/k3s/internal/paths"
)

// Stages of a rotation, as they stand in the state file before the hash.
const (
	stageStart    = "start"
	stagePrepare  = "prepare"
	stageRotate   = "rotate"
	stageFinished = "reencrypt_finished"
)

const keyBytes = 32

// key is one AES key of the configuration.
type key struct {
	Name   string `json:"name"`
	Secret string `json:"secret"`
}

type keys struct {
	Keys []key `json:"keys"`
}

// provider is one way to read and, when it stands first, to write Secrets.
type provider struct {
	AESCBC   *keys     `json:"aescbc,omitempty"`
	Identity *struct{} `json:"identity,omitempty"`
}

type resource struct {
	Resources []string   `json:"resources"`
	Providers []provider `json:"providers"`
}

// configuration is the API server's EncryptionConfiguration in the order of fields that k3s writes.
type configuration struct {
	Kind       string     `json:"kind"`
	APIVersion string     `json:"apiVersion"`
	Resources  []resource `json:"resources"`
}

// build makes the configuration for keys, newest first; without enabled, Secrets are written in clear but still read.
func build(held []key, enabled bool) configuration {
	identity := provider{Identity: &struct{}{}}
	providers := []provider{identity}
	if len(held) > 0 {
		encrypting := provider{AESCBC: &keys{Keys: held}}
		if enabled {
			providers = []provider{encrypting, identity}
		} else {
			providers = []provider{identity, encrypting}
		}
	}
	return configuration{
		Kind: "EncryptionConfiguration", APIVersion: "apiserver.config.k8s.io/v1",
		Resources: []resource{{Resources: []string{"secrets"}, Providers: providers}},
	}
}

// held gives the configuration's keys and whether Secrets are written with the first of them.
func (c configuration) held() (found []key, enabled bool) {
	for _, part := range c.Resources {
		for position, provider := range part.Providers {
			if provider.AESCBC != nil {
				found = append(found, provider.AESCBC.Keys...)
				enabled = enabled || position == 0 && len(provider.AESCBC.Keys) > 0
			}
		}
	}
	return found, enabled
}

func newKey(now time.Time) (key, error) {
	raw := make([]byte, keyBytes)
	if _, err := rand.Read(raw); err != nil {
		return key{}, err
	}
	name := "aescbckey-" + now.UTC().Format(time.RFC3339)
	return key{Name: name, Secret: base64.StdEncoding.EncodeToString(raw)}, nil
}

func readConfig(p paths.Paths) (configuration, error) {
	var config configuration
	content, err := os.ReadFile(p.EncryptionConfig)
	if err != nil {
		return config, err
	}
	return config, json.Unmarshal(content, &config)
}

func writeConfig(p paths.Paths, config configuration) error {
	content, err := json.Marshal(config)
	if err != nil {
		return err
	}
	return replace(p.EncryptionConfig, content)
}

// hash names the configuration on disk.
func hash(p paths.Paths) (string, error) {
	content, err := os.ReadFile(p.EncryptionConfig)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), nil
}

func writeState(p paths.Paths, stage string) error {
	sum, err := hash(p)
	if err != nil {
		return err
	}
	return replace(p.EncryptionState, []byte(stage+"-"+sum))
}

// State is the stage of rotation and the hash of the configuration it was reached with: "<stage>-<hash>".
func State(p paths.Paths) (string, error) {
	content, err := os.ReadFile(p.EncryptionState)
	return strings.TrimSpace(string(content)), err
}

func stageOf(state string) string {
	stage, _, _ := strings.Cut(state, "-")
	return stage
}

func replace(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// Prepare makes the files that a server with `secrets-encryption: true` starts with: what is there is kept; a
// cluster that never had any encrypts from its first Secret on.
func Prepare(p paths.Paths, now time.Time) error {
	if _, err := os.Stat(p.EncryptionConfig); errors.Is(err, os.ErrNotExist) {
		first, err := newKey(now)
		if err != nil {
			return err
		}
		if err := writeConfig(p, build([]key{first}, true)); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if _, err := State(p); errors.Is(err, os.ErrNotExist) {
		return writeState(p, stageStart)
	} else if err != nil {
		return fmt.Errorf("encryption state: %w", err)
	}
	return nil
}
