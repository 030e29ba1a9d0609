package deploy

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/sirupsen/logrus"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	interval = 15 * time.Second
	normal   = "Normal"
	warning  = "Warning"
)

// Options say what is deployed where.
type Options struct {
	Kubeconfig string   // admin kubeconfig of a running API server
	Manifests  string   // server/manifests
	Disables   []string // values of disable:
	Node       string   // this node's name, the source of events
}

type controller struct {
	options  Options
	disables map[string]bool
	cluster  *cluster
	modified map[string]time.Time // of every file that was applied since the start
}

// Run applies the manifests every 15 s until ctx ends. It returns early only when the AddOn kind cannot be set up.
func Run(ctx context.Context, options Options) error {
	config, err := clientcmd.BuildConfigFromFlags("", options.Kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 100, 200
	cluster, err := newCluster(config)
	if err != nil {
		return err
	}
	if err := cluster.ensureCRD(ctx); err != nil {
		return fmt.Errorf("register addons.k3s.cattle.io: %w", err)
	}
	loop := &controller{options: options, disables: map[string]bool{}, cluster: cluster, modified: map[string]time.Time{}}
	for _, name := range options.Disables {
		loop.disables[name] = true
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		loop.pass(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// pass looks at every file once; one that fails is tried again in the next pass and holds up no other.
func (c *controller) pass(ctx context.Context) {
	files, err := scan(c.options.Manifests, c.disables)
	if err != nil {
		logrus.Errorf("Failed to process config: %v", err)
		return
	}
	for _, manifest := range files {
		if ctx.Err() != nil {
			return
		}
		work := c.deploy
		if manifest.disabled {
			work = c.remove
		}
		if err := work(ctx, manifest); err != nil {
			logrus.Errorf("Failed to process config: failed to process %s: %v", manifest.path, err)
		}
	}
}

func (c *controller) deploy(ctx context.Context, manifest file) error {
	last, applied := c.modified[manifest.path]
	if applied && last.Equal(manifest.modified) {
		return nil
	}
	content, err := os.ReadFile(manifest.path)
	if err != nil {
		return err
	}
	name, err := addonName(manifest.path)
	if err != nil {
		return err
	}
	addon, err := c.cluster.addon(ctx, name)
	if err != nil {
		return err
	}
	sum := checksum(content)
	if recorded, _, _ := unstructured.NestedString(addon.Object, "spec", "checksum"); applied && recorded == sum {
		c.modified[manifest.path] = manifest.modified
		return nil
	}
	if addon, err = c.cluster.saveAddon(ctx, addon, manifest.path, "", nil); err != nil {
		return err
	}
	objects, err := parseObjects(content)
	if err != nil {
		c.cluster.event(ctx, addon, c.options.Node, warning, "ParseManifestFailed", "Parse manifest at %q failed: %v", manifest.path, err)
		return err
	}
	c.cluster.event(ctx, addon, c.options.Node, normal, "ApplyingManifest", "Applying manifest at %q", manifest.path)
	if err := c.sync(ctx, addon, objects); err != nil {
		c.cluster.event(ctx, addon, c.options.Node, warning, "ApplyManifestFailed", "Applying manifest at %q failed: %v", manifest.path, err)
		return err
	}
	c.cluster.event(ctx, addon, c.options.Node, normal, "AppliedManifest", "Applied manifest at %q", manifest.path)
	if _, err := c.cluster.saveAddon(ctx, addon, manifest.path, sum, kindsOf(objects)); err != nil {
		return err
	}
	c.modified[manifest.path] = manifest.modified
	return nil
}

// sync applies the objects and prunes what the file held before. Kinds are compared with those recorded at the last
// success, so that a kind that left the file altogether is looked for as well.
func (c *controller) sync(ctx context.Context, addon *unstructured.Unstructured, objects []*unstructured.Unstructured) error {
	for _, object := range objects {
		if err := c.cluster.apply(ctx, addon.GetName(), object); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	kinds := kindsOf(objects)
	known := map[string]bool{}
	for _, kind := range kinds {
		known[kind.String()] = true
	}
	for _, kind := range recordedKinds(addon) {
		if !known[kind.String()] {
			kinds = append(kinds, kind)
		}
	}
	return c.cluster.prune(ctx, addon.GetName(), kinds, objects)
}

// remove uninstalls a disabled file: its objects, its AddOn and the file itself.
func (c *controller) remove(ctx context.Context, manifest file) error {
	name, err := addonName(manifest.path)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(manifest.path)
	if err != nil {
		return err
	}
	addon, err := c.cluster.addon(ctx, name)
	if err != nil {
		return err
	}
	if addon.GetUID() != "" {
		c.cluster.event(ctx, addon, c.options.Node, normal, "DeletingManifest", "Deleting manifest at %q", manifest.path)
		kinds := recordedKinds(addon)
		if objects, err := parseObjects(content); err == nil {
			kinds = append(kinds, kindsOf(objects)...)
		}
		if err := c.cluster.prune(ctx, name, kinds, nil); err != nil {
			return err
		}
		if err := c.cluster.addons().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !errors.IsNotFound(err) {
			return err
		}
	}
	delete(c.modified, manifest.path)
	return os.Remove(manifest.path)
}
