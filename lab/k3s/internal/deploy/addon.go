package deploy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
)

const gvksAnnotation = "addon.k3s.cattle.io/gvks"

var (
	addonResource = schema.GroupVersionResource{Group: "k3s.cattle.io", Version: "v1", Resource: "addons"}
	crdResource   = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	eventResource = schema.GroupVersionResource{Version: "v1", Resource: "events"}
)

func addonCRD() *unstructured.Unstructured {
	text := map[string]any{"type": "string"}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   map[string]any{"name": "addons.k3s.cattle.io"},
		"spec": map[string]any{
			"group": "k3s.cattle.io",
			"names": map[string]any{"kind": "Addon", "plural": "addons", "singular": "addon"},
			"scope": "Namespaced",
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"additionalPrinterColumns": []any{
					map[string]any{"name": "Source", "type": "string", "jsonPath": ".spec.source"},
					map[string]any{"name": "Checksum", "type": "string", "jsonPath": ".spec.checksum"},
				},
				"schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type": "object",
					"properties": map[string]any{"spec": map[string]any{
						"type": "object", "properties": map[string]any{"source": text, "checksum": text},
					}},
				}},
			}},
		},
	}}
}

// ensureCRD registers the AddOn kind and waits until the API serves it.
func (c *cluster) ensureCRD(ctx context.Context) error {
	_, err := c.client.Resource(crdResource).Apply(ctx, "addons.k3s.cattle.io", addonCRD(),
		metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := c.addons().List(ctx, metav1.ListOptions{Limit: 1})
		return err == nil, nil
	})
}

func (c *cluster) addons() dynamic.ResourceInterface {
	return c.client.Resource(addonResource).Namespace(metav1.NamespaceSystem)
}

// addon reads an AddOn, or gives a new one that is not stored yet.
func (c *cluster) addon(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	found, err := c.addons().Get(ctx, name, metav1.GetOptions{})
	if !errors.IsNotFound(err) {
		return found, err
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "k3s.cattle.io/v1", "kind": "Addon",
		"metadata": map[string]any{"name": name, "namespace": metav1.NamespaceSystem},
		"spec":     map[string]any{},
	}}, nil
}

// saveAddon stores the AddOn; a nil kinds leaves its annotation as it is.
func (c *cluster) saveAddon(ctx context.Context, addon *unstructured.Unstructured, source, sum string, kinds []schema.GroupVersionKind) (*unstructured.Unstructured, error) {
	addon = addon.DeepCopy()
	addon.Object["spec"] = map[string]any{"source": source, "checksum": sum}
	if kinds != nil {
		annotations := addon.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[gvksAnnotation] = encodeKinds(kinds)
		addon.SetAnnotations(annotations)
	}
	if addon.GetUID() == "" {
		return c.addons().Create(ctx, addon, metav1.CreateOptions{FieldManager: fieldManager})
	}
	return c.addons().Update(ctx, addon, metav1.UpdateOptions{FieldManager: fieldManager})
}

func encodeKinds(kinds []schema.GroupVersionKind) string {
	parts := make([]string, 0, len(kinds))
	for _, kind := range kinds {
		parts = append(parts, kind.GroupVersion().String()+", Kind="+kind.Kind)
	}
	return strings.Join(parts, ";")
}

// recordedKinds are the kinds an AddOn's file held when it was last applied.
func recordedKinds(addon *unstructured.Unstructured) []schema.GroupVersionKind {
	var kinds []schema.GroupVersionKind
	for _, part := range strings.Split(addon.GetAnnotations()[gvksAnnotation], ";") {
		version, kind, found := strings.Cut(part, ", Kind=")
		if !found {
			continue
		}
		if parsed, err := schema.ParseGroupVersion(version); err == nil {
			kinds = append(kinds, parsed.WithKind(kind))
		}
	}
	return kinds
}

// event tells on the AddOn what happens to its file; events are a courtesy, so that a failed one is not an error.
func (c *cluster) event(ctx context.Context, addon *unstructured.Unstructured, node, kind, reason, format string, values ...any) {
	now := time.Now().UTC().Format(time.RFC3339)
	_, _ = c.client.Resource(eventResource).Namespace(metav1.NamespaceSystem).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Event",
		"metadata": map[string]any{
			"name": fmt.Sprintf("%s.%x", addon.GetName(), time.Now().UnixNano()), "namespace": metav1.NamespaceSystem,
		},
		"involvedObject": map[string]any{
			"apiVersion": "k3s.cattle.io/v1", "kind": "Addon", "name": addon.GetName(), "namespace": metav1.NamespaceSystem,
			"uid": string(addon.GetUID()),
		},
		"type": kind, "reason": reason, "message": fmt.Sprintf(format, values...),
		"source":         map[string]any{"component": "deploy-controller", "host": node},
		"firstTimestamp": now, "lastTimestamp": now, "count": int64(1),
	}}, metav1.CreateOptions{})
}
