package bootstrap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/k3s-io/kine/pkg/client"
	"github.com/sirupsen/logrus"

	"holdfast/lab/k3s/internal/paths"
)

// tolerance is how much newer than the record a differing file may be; clocks and file systems are not exact.
const tolerance = 3 * time.Second

// ErrOtherToken is what a start with the wrong token ends in.
var ErrOtherToken = errors.New("bootstrap data already found and encrypted with different token")

// File is one file of the record.
type File struct {
	Timestamp time.Time
	Content   []byte
}

// Record maps a file's key to its content.
type Record map[string]File

// Files maps the keys of the record to their places on disk. Those of secrets encryption exist only where it is on.
func Files(p paths.Paths) map[string]string {
	tls := func(name string) string { return filepath.Join(p.TLS, name) }
	return map[string]string{
		"ServerCA": tls("server-ca.crt"), "ServerCAKey": tls("server-ca.key"),
		"ClientCA": tls("client-ca.crt"), "ClientCAKey": tls("client-ca.key"),
		"RequestHeaderCA": tls("request-header-ca.crt"), "RequestHeaderCAKey": tls("request-header-ca.key"),
		"ServiceKey": tls("service.key"), "PasswdFile": p.Passwd, "IPSECKey": p.IPSecKey,
		"EncryptionConfig": p.EncryptionConfig, "EncryptionHash": p.EncryptionState,
	}
}

// Load finds the record of password. Without any record it returns nil; a record of another password is ErrOtherToken.
func Load(ctx context.Context, store client.Client, password string) (Record, error) {
	stored, err := find(ctx, store, password)
	if err != nil || stored == nil {
		return nil, err
	}
	plain, err := decrypt(password, stored.Data)
	if err != nil {
		return nil, err
	}
	var record Record
	return record, json.Unmarshal(plain, &record)
}

func find(ctx context.Context, store client.Client, password string) (*client.Value, error) {
	values, err := store.List(ctx, prefix, 0)
	if err != nil {
		return nil, err
	}
	others := 0
	for _, value := range values {
		switch {
		case string(value.Key) == Key(password):
			return &value, nil
		case len(value.Data) > 0:
			others++
		}
	}
	if others > 0 {
		return nil, ErrOtherToken
	}
	return nil, nil
}

// Save stores the files on disk as the record of password. A record that says the same is left alone.
func Save(ctx context.Context, store client.Client, p paths.Paths, password string) error {
	stored, err := find(ctx, store, password)
	if err != nil {
		return err
	}
	record, err := read(p)
	if err != nil {
		return err
	}
	if stored != nil {
		if old, err := Load(ctx, store, password); err == nil && same(old, record) {
			return nil
		}
	}
	plain, err := json.Marshal(record)
	if err != nil {
		return err
	}
	sealed, err := encrypt(password, plain)
	if err != nil {
		return err
	}
	if stored == nil {
		return store.Create(ctx, Key(password), sealed)
	}
	return store.Update(ctx, Key(password), stored.Modified, sealed)
}

// Rotate moves the record from one password to another.
func Rotate(ctx context.Context, store client.Client, p paths.Paths, from, to string) error {
	stored, err := find(ctx, store, from)
	if err != nil {
		return err
	}
	record, err := read(p)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(record)
	if err != nil {
		return err
	}
	sealed, err := encrypt(to, plain)
	if err != nil {
		return err
	}
	if err := store.Create(ctx, Key(to), sealed); err != nil || stored == nil {
		return err
	}
	return store.Delete(ctx, string(stored.Key), stored.Modified)
}

func read(p paths.Paths) (Record, error) {
	record := Record{}
	for key, path := range Files(p) {
		content, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		record[key] = File{Timestamp: info.ModTime(), Content: content}
	}
	return record, nil
}

func same(a, b Record) bool {
	if len(a) != len(b) {
		return false
	}
	for key, file := range a {
		if other, ok := b[key]; !ok || !bytes.Equal(file.Content, other.Content) {
			return false
		}
	}
	return true
}

// Reconcile brings the disk in line with the record: missing files are written, older ones replaced. Files on disk
// that differ and are newer are an error that names them.
func Reconcile(record Record, p paths.Paths) error {
	var newer []string
	places := Files(p)
	write := map[string]File{}
	for key, file := range record {
		path, known := places[key]
		if !known {
			continue
		}
		content, err := os.ReadFile(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			write[path] = file
			continue
		case err != nil:
			return err
		case bytes.Equal(content, file.Content):
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.ModTime().Sub(file.Timestamp) >= tolerance {
			newer = append(newer, path)
			continue
		}
		logrus.Warnf("%s will be updated from the datastore.", path)
		write[path] = file
	}
	if len(newer) > 0 {
		sort.Strings(newer)
		return &NewerError{Files: newer}
	}
	for path, file := range write {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, file.Content, mode(path)); err != nil {
			return err
		}
		if err := os.Chtimes(path, file.Timestamp, file.Timestamp); err != nil {
			return err
		}
	}
	return nil
}

func mode(path string) os.FileMode {
	if strings.HasSuffix(path, ".crt") {
		return 0o644
	}
	return 0o600
}

// NewerError names files on disk that differ from the record and were changed after it.
type NewerError struct{ Files []string }

func (e *NewerError) Error() string {
	return fmt.Sprintf("%s newer than datastore and could cause a cluster outage. Remove the file(s) from disk and "+
		"restart to be recreated from datastore.", strings.Join(e.Files, ", "))
}
