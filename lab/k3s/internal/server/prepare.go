package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"

	"holdfast/lab/k3s/internal/bootstrap"
	"holdfast/lab/k3s/internal/certs"
)

// prepare makes the data directory fit to start from: datastore, identity, certificates, tokens, kubeconfigs.
func (s *server) prepare(ctx context.Context) (*datastore, error) {
	if err := s.makeDirectories(); err != nil {
		return nil, err
	}
	if err := os.Chdir(s.paths.Server); err != nil {
		return nil, err
	}
	given, err := s.readSecret()
	if err != nil {
		return nil, err
	}
	store, err := openDatastore(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.takeIdentity(ctx, store, given); err != nil {
		if damaged(err) {
			err = hang(ctx, err)
		}
		store.close()
		return nil, err
	}
	return store, nil
}

// takeIdentity finds the cluster's identity in the datastore, or makes one and stores it.
func (s *server) takeIdentity(ctx context.Context, store *datastore, given bool) error {
	if given {
		record, err := bootstrap.Load(ctx, store.client, s.secret.password)
		if err != nil {
			return fmt.Errorf("failed to bootstrap cluster data: %w", err)
		}
		var newer *bootstrap.NewerError
		if err := bootstrap.Reconcile(record, s.paths); errors.As(err, &newer) {
			logrus.Fatal(newer.Error())
		} else if err != nil {
			return fmt.Errorf("failed to bootstrap cluster data: %w", err)
		}
	}
	if err := certs.Ensure(s.paths, s.certOptions(), time.Now()); err != nil {
		return err
	}
	if err := s.writeSecrets(); err != nil {
		return err
	}
	if err := s.prepareEncryption(); err != nil {
		return err
	}
	if err := s.writeKubeconfigs(); err != nil {
		return err
	}
	if err := bootstrap.Save(ctx, store.client, s.paths, s.secret.password); err != nil {
		return fmt.Errorf("failed to save bootstrap data: %w", err)
	}
	return s.writeServerFiles()
}

func (s *server) certOptions() certs.Options {
	return certs.Options{
		NodeName: s.node.name, NodeIP: s.node.ip, ClusterDomain: s.config.String("cluster-domain"),
		ServiceIP: s.node.serviceIP, ExtraNames: s.config.SplitList("tls-san"),
	}
}

func (s *server) makeDirectories() error {
	directories := []struct {
		path string
		mode os.FileMode
	}{
		{s.paths.DataDir, 0o755}, {s.paths.Server, 0o700}, {s.paths.DB, 0o700}, {s.paths.Cred, 0o700},
		{s.paths.TLS, 0o700}, {s.paths.ServerEtc, 0o700}, {s.paths.Manifests, 0o700},
		{s.paths.Agent, 0o755}, {s.paths.Images, 0o755}, {s.paths.StaticPods, 0o750}, {s.paths.ContainerdRoot, 0o700},
		{filepath.Dir(s.paths.ContainerdEtc), 0o755}, {s.paths.ContainerdEtc, 0o755}, {s.paths.KubeletDropins, 0o700},
		{"/etc/rancher/k3s", 0o755}, {"/etc/rancher/node", 0o755},
		{filepath.Dir(s.stateDirectory()), 0o711}, {s.stateDirectory(), 0o711},
	}
	for _, directory := range directories {
		if err := os.MkdirAll(directory.path, directory.mode); err != nil {
			return err
		}
	}
	return nil
}

// writeServerFiles writes the small files that only the components read.
func (s *server) writeServerFiles() error {
	egress := "apiVersion: apiserver.k8s.io/v1beta1\nkind: EgressSelectorConfiguration\negressSelections: []\n"
	if err := writeFile(s.egressConfig(), egress, 0o600); err != nil {
		return err
	}
	return writeFile(filepath.Join(s.paths.ServerEtc, "cloud-config.yaml"), "{}\n", 0o600)
}

func (s *server) egressConfig() string {
	return filepath.Join(s.paths.ServerEtc, "egress-selector-config.yaml")
}

// writeFile replaces a file at once and sets its mode, which os.WriteFile leaves alone on an existing one.
func writeFile(path, content string, mode os.FileMode) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, []byte(content), mode); err != nil {
		return err
	}
	if err := os.Chmod(temporary, mode); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
