package server

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"holdfast/lab/k3s/internal/certs"
)

// secret is the cluster's token without its prefix.
type secret struct {
	password string
}

// readSecret takes the token from the configuration, or else from server/token; without either it makes one up and
// returns false.
func (s *server) readSecret() (given bool, err error) {
	text := s.config.String("token")
	if file := s.config.String("token-file"); text == "" && file != "" {
		content, err := os.ReadFile(file)
		if err != nil {
			return false, err
		}
		text = string(content)
	}
	if text == "" {
		content, err := os.ReadFile(s.paths.Token)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
		text = string(content)
		if err == nil && strings.TrimSpace(text) == "" {
			return false, fmt.Errorf("%s is empty: failed to get CA certs: EOF", s.paths.Token)
		}
	}
	if text = strings.TrimSpace(text); text != "" {
		s.secret = secret{Password(text)}
		return true, nil
	}
	password, err := randomHex(16)
	s.secret = secret{password}
	return false, err
}

// Password is the secret part of a token: K10<hash of the CA>::server:<password>, or the password alone.
func Password(token string) string {
	if strings.HasPrefix(token, "K10") {
		if _, credentials, found := strings.Cut(token, "::"); found {
			if _, password, found := strings.Cut(credentials, ":"); found {
				return password
			}
			return credentials
		}
	}
	return token
}

// Token is the full form of a password for the cluster whose server-ca.crt is given.
func Token(authority, password string) (string, error) {
	hash, err := certs.Hash(authority)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("K10%s::server:%s", hash, password), nil
}

// writeSecrets writes the token, its links and the passwords of the server.
func (s *server) writeSecrets() error {
	token, err := Token(filepath.Join(s.paths.TLS, "server-ca.crt"), s.secret.password)
	if err != nil {
		return err
	}
	if err := writeFile(s.paths.Token, token+"\n", 0o600); err != nil {
		return err
	}
	for _, link := range []string{s.paths.NodeToken, s.paths.AgentTok} {
		if target, err := os.Readlink(link); err == nil && target == s.paths.Token {
			continue
		}
		_ = os.Remove(link)
		if err := os.Symlink(s.paths.Token, link); err != nil {
			return err
		}
	}
	passwd := fmt.Sprintf("%s,node,node,k3s:agent\n%s,server,server,k3s:server\n", s.secret.password, s.secret.password)
	if current, err := os.ReadFile(s.paths.Passwd); err != nil || string(current) != passwd {
		if err := writeFile(s.paths.Passwd, passwd, 0o600); err != nil {
			return err
		}
	}
	if _, err := os.Stat(s.paths.IPSecKey); errors.Is(err, os.ErrNotExist) {
		key, err := randomHex(48)
		if err != nil {
			return err
		}
		return writeFile(s.paths.IPSecKey, key+"\n", 0o600)
	}
	return nil
}

func randomHex(bytes int) (string, error) {
	raw := make([]byte, bytes)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	return hex.EncodeToString(raw), nil
}

// trimmedPassword is the password of a token file.
func trimmedPassword(content []byte) string { return Password(strings.TrimSpace(string(content))) }
