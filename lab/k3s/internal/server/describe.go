package server

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"holdfast/lab/k3s/internal/paths"
)

const system = "kube-system"

// describe waits for the node to register and gives it what kubelet may not: role, type and k3s's annotations. Then
// it publishes the cluster's DNS and checks the node's password.
func (s *server) describe(ctx context.Context, client *kubernetes.Clientset) error {
	var found *core.Node
	for found == nil {
		node, err := client.CoreV1().Nodes().Get(ctx, s.node.name, metav1.GetOptions{})
		switch {
		case err == nil:
			found = node
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			time.Sleep(200 * time.Millisecond)
		}
	}
	annotations, err := s.annotations()
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"labels": map[string]string{
			"node-role.kubernetes.io/control-plane": "true",
			"node.kubernetes.io/instance-type":      "k3s",
			"beta.kubernetes.io/instance-type":      "k3s",
		},
		"annotations": annotations,
	}})
	if err != nil {
		return err
	}
	if _, err := client.CoreV1().Nodes().Patch(ctx, s.node.name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return err
	}
	if err := s.annotateEncryption(ctx, client); err != nil {
		return err
	}
	if err := s.publishDNS(ctx, client); err != nil {
		return err
	}
	return s.checkNodePassword(ctx, client, found)
}

// annotations tell how the node was started, without its secrets.
func (s *server) annotations() (map[string]string, error) {
	args := []string{"server"}
	for _, arg := range s.config.Args {
		name, value, joined := strings.Cut(arg, "=")
		if strings.Contains(name, "token") || strings.Contains(name, "datastore-endpoint") {
			value = "********"
		}
		args = append(args, name)
		if joined {
			args = append(args, value)
		}
	}
	rendered, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(rendered)
	return map[string]string{
		"k3s.io/hostname":         s.node.hostname,
		"k3s.io/internal-ip":      s.node.ip,
		"k3s.io/node-args":        string(rendered),
		"k3s.io/node-env":         "{}",
		"k3s.io/node-config-hash": base32.StdEncoding.EncodeToString(sum[:]),
	}, nil
}

func (s *server) publishDNS(ctx context.Context, client *kubernetes.Clientset) error {
	config := &core.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "cluster-dns", Namespace: system},
		Data:       map[string]string{"clusterDNS": s.config.String("cluster-dns"), "clusterDomain": s.config.String("cluster-domain")},
	}
	_, err := client.CoreV1().ConfigMaps(system).Create(ctx, config, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = client.CoreV1().ConfigMaps(system).Update(ctx, config, metav1.UpdateOptions{})
	}
	return err
}

// checkNodePassword compares the node's password file with the Secret that was made when the node first joined. A
// mismatch is an event on the node and nothing more: the server's own node runs on.
func (s *server) checkNodePassword(ctx context.Context, client *kubernetes.Clientset, node *core.Node) error {
	password, err := nodePassword()
	if err != nil {
		return err
	}
	name := s.node.name + ".node-password.k3s"
	secret, err := client.CoreV1().Secrets(system).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		hash, err := hashPassword(password)
		if err != nil {
			return err
		}
		immutable := true
		_, err = client.CoreV1().Secrets(system).Create(ctx, &core.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: system}, Immutable: &immutable, Data: map[string][]byte{"hash": []byte(hash)},
		}, metav1.CreateOptions{})
		if err == nil {
			s.nodeEvent(ctx, client, node, core.EventTypeNormal, "NodePasswordValidationComplete", "Deferred node password secret validation complete")
		}
		return err
	}
	if err != nil {
		return err
	}
	if err := verifyPassword(string(secret.Data["hash"]), password); err != nil {
		reason := fmt.Errorf("unable to verify password for node %s: %w", s.node.name, err)
		logrus.Warnf("Deferred node password secret validation failed: %v", reason)
		s.nodeEvent(ctx, client, node, core.EventTypeWarning, "NodePasswordValidationFailed", fmt.Sprintf("Deferred node password secret validation failed: %v", reason))
		return nil
	}
	s.nodeEvent(ctx, client, node, core.EventTypeNormal, "NodePasswordValidationComplete", "Deferred node password secret validation complete")
	return nil
}

func (s *server) nodeEvent(ctx context.Context, client *kubernetes.Clientset, node *core.Node, kind, reason, message string) {
	now := metav1.Now()
	_, err := client.CoreV1().Events(metav1.NamespaceDefault).Create(ctx, &core.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: node.Name + ".", Namespace: metav1.NamespaceDefault},
		InvolvedObject: core.ObjectReference{Kind: "Node", APIVersion: "v1", Name: node.Name, UID: types.UID(node.Name)},
		Reason:         reason, Message: message, Type: kind, Count: 1, FirstTimestamp: now, LastTimestamp: now,
		Source: core.EventSource{Component: "k3s-supervisor", Host: node.Name},
	}, metav1.CreateOptions{})
	if err != nil {
		logrus.Warnf("Failed to record event %s: %v", reason, err)
	}
}

// nodePassword reads the node's identity, or makes one: it outlives an uninstall.
func nodePassword() (string, error) {
	content, err := os.ReadFile(paths.NodePassword)
	if err == nil {
		return strings.TrimSpace(string(content)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	password, err := randomHex(16)
	if err != nil {
		return "", err
	}
	return password, writeFile(paths.NodePassword, password+"\n", 0o600)
}

const hashRounds = 4096

func hashPassword(password string) (string, error) {
	salt := make([]byte, 8)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	key, err := pbkdf2.Key(sha256.New, password, salt, hashRounds, 32)
	return "$1:" + base64.RawStdEncoding.EncodeToString(salt) + ":" + base64.RawStdEncoding.EncodeToString(key), err
}

func verifyPassword(hash, password string) error {
	parts := strings.Split(hash, ":")
	if len(parts) != 3 {
		return errors.New("hash format is invalid")
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	have, err := pbkdf2.Key(sha256.New, password, salt, hashRounds, 32)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(have, want) != 1 {
		return errors.New("hash does not match")
	}
	return nil
}
