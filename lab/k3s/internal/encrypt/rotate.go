package encrypt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"holdfast/lab/k3s/internal/paths"
)

// HashAnnotation tells other servers which configuration this node works with.
const HashAnnotation = "k3s.io/encryption-config-hash"

// reloadProbe is how often the API server is asked whether it has read a new configuration; it looks once a minute.
const reloadProbe = 500 * time.Millisecond

// enable writes a configuration where there is none, or puts the keys that are there to use again.
func enable(p paths.Paths) error {
	config, err := readConfig(p)
	if errors.Is(err, os.ErrNotExist) {
		return writeConfig(p, build(nil, false))
	}
	if err != nil {
		return err
	}
	if _, err := State(p); err != nil {
		return errors.New("secrets encryption is enabled already, restart the server with secrets-encryption")
	}
	held, _ := config.held()
	return writeConfig(p, build(held, true))
}

func disable(p paths.Paths) error {
	config, err := readConfig(p)
	if err != nil {
		return err
	}
	held, _ := config.held()
	return writeConfig(p, build(held, false))
}

// prepare adds a key that nothing is written with yet but that the other servers will be able to read.
func prepare(p paths.Paths, now time.Time) error {
	state, err := State(p)
	if err != nil {
		return err
	}
	if stage := stageOf(state); stage != stageStart && stage != stageFinished {
		return fmt.Errorf("error, incorrect stage %s found", stage)
	}
	config, err := readConfig(p)
	if err != nil {
		return err
	}
	fresh, err := newKey(now)
	if err != nil {
		return err
	}
	held, _ := config.held()
	if err := writeConfig(p, build(append(held, fresh), true)); err != nil {
		return err
	}
	return writeState(p, stagePrepare)
}

// rotateKeys makes a new key, waits until the API server writes with it, writes every Secret anew, and forgets the
// former keys.
func rotateKeys(ctx context.Context, p paths.Paths, client kubernetes.Interface, now time.Time) error {
	state, err := State(p)
	if err != nil {
		return err
	}
	if stage := stageOf(state); stage != stageStart && stage != stageFinished {
		return fmt.Errorf("error, incorrect stage %s found", stage)
	}
	config, err := readConfig(p)
	if err != nil {
		return err
	}
	fresh, err := newKey(now)
	if err != nil {
		return err
	}
	held, _ := config.held()
	if err := writeConfig(p, build(append([]key{fresh}, held...), true)); err != nil {
		return err
	}
	if err := waitForReload(ctx, p, client); err != nil {
		return err
	}
	if err := rewriteSecrets(ctx, client); err != nil {
		return err
	}
	if err := writeConfig(p, build([]key{fresh}, true)); err != nil {
		return err
	}
	return writeState(p, stageFinished)
}

// waitForReload waits until the API server reports the hash of the configuration on disk as the one in use.
func waitForReload(ctx context.Context, p paths.Paths, client kubernetes.Interface) error {
	want, err := hash(p)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(reloadProbe)
	defer ticker.Stop()
	for {
		metrics, err := client.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
		if err == nil && usesHash(string(metrics), want) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server has not read the new configuration: %w", ctx.Err())
		case <-ticker.C:
		}
	}
}

// rewriteSecrets updates every Secret with its own content: the API server encrypts it with the key in use.
func rewriteSecrets(ctx context.Context, client kubernetes.Interface) error {
	listed, err := client.CoreV1().Secrets(core.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for index := range listed.Items {
		secret := &listed.Items[index]
		_, err := client.CoreV1().Secrets(secret.Namespace).Update(ctx, secret, metav1.UpdateOptions{})
		// a Secret that is gone, or that somebody has just written, needs nothing from us
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("secret %s/%s: %w", secret.Namespace, secret.Name, err)
		}
	}
	return nil
}

// Annotate writes the state into the node's annotation.
func Annotate(ctx context.Context, p paths.Paths, client kubernetes.Interface, node string) error {
	state, err := State(p)
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{HashAnnotation: state}}})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// usesHash reads the API server's metrics.
func usesHash(metrics, want string) bool {
	for _, line := range strings.Split(metrics, "\n") {
		if strings.HasPrefix(line, "apiserver_encryption_config_controller_last_config_info{") && strings.Contains(line, `"sha256:`+want+`"`) {
			return true
		}
	}
	return false
}
