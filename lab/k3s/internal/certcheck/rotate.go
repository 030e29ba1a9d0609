package certcheck

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

// Rotate keeps a copy of server/tls and removes the leaf certificates of the services: the next start makes new ones.
func Rotate(dataDir string, services []string, now time.Time) error {
	tls := filepath.Join(dataDir, "server", "tls")
	backup := fmt.Sprintf("%s-%d", tls, now.Unix())
	if err := copyTree(tls, backup); err != nil {
		return err
	}
	agent := filepath.Join(dataDir, "agent")
	if err := copyLeaves(agent, filepath.Join(agent, filepath.Base(backup))); err != nil {
		return err
	}
	for _, service := range services {
		logrus.Infof("Rotating certificates for %s", service)
		certificates, keys := pathsOf(dataDir, service)
		for _, path := range append(certificates, keys...) {
			if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
		if service == "k3s-server" {
			marker := filepath.Join(tls, "dynamic-cert-regenerate")
			if err := os.WriteFile(marker, nil, 0o600); err != nil {
				return err
			}
		}
	}
	logrus.Infof("Successfully backed up certificates to %s, please restart k3s server or agent to rotate certificates", backup)
	return nil
}

func copyTree(from, to string) error {
	return filepath.Walk(from, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		switch {
		case info.IsDir():
			return os.MkdirAll(target, info.Mode().Perm())
		case info.Mode().IsRegular():
			return copyFile(path, target, info.Mode().Perm())
		default:
			return nil
		}
	})
}

// copyLeaves copies the certificates and keys that lie directly in a directory.
func copyLeaves(directory, backup string) error {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(backup, 0o700); err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if entry.Type().IsRegular() && (strings.HasSuffix(name, ".crt") || strings.HasSuffix(name, ".key")) {
			if err := copyFile(filepath.Join(directory, name), filepath.Join(backup, name), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

func copyFile(from, to string, mode os.FileMode) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		target.Close()
		return err
	}
	return target.Close()
}
