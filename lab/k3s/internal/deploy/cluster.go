package deploy

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

type runtimeObject = runtime.Object

const (
	fieldManager = "deploy@k3s"
	ownerLabel   = "objectset.rio.cattle.io/hash"
)

// cluster applies and prunes objects of any kind.
type cluster struct {
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

func newCluster(config *rest.Config) (*cluster, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	discoverer, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	return &cluster{client: client, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discoverer))}, nil
}

// resource finds where objects of a kind live; a kind that is not known yet may have come with a CRD since.
func (c *cluster) resource(kind schema.GroupVersionKind, namespace string) (dynamic.ResourceInterface, error) {
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		c.mapper.Reset()
		mapping, err = c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.client.Resource(mapping.Resource), nil
	}
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return c.client.Resource(mapping.Resource).Namespace(namespace), nil
}

// ownerHash labels everything that came from one AddOn.
func ownerHash(addon string) string {
	sum := sha1.Sum([]byte("/k3s.cattle.io/v1, Kind=Addon/kube-system/" + addon))
	return hex.EncodeToString(sum[:])
}

// apply writes one object and marks it as the AddOn's.
func (c *cluster) apply(ctx context.Context, addon string, object *unstructured.Unstructured) error {
	target, err := c.resource(object.GroupVersionKind(), object.GetNamespace())
	if err != nil {
		return err
	}
	wanted := object.DeepCopy()
	labels := wanted.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[ownerLabel] = ownerHash(addon)
	wanted.SetLabels(labels)
	annotations := wanted.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations["objectset.rio.cattle.io/owner-gvk"] = "k3s.cattle.io/v1, Kind=Addon"
	annotations["objectset.rio.cattle.io/owner-name"] = addon
	annotations["objectset.rio.cattle.io/owner-namespace"] = metav1.NamespaceSystem
	wanted.SetAnnotations(annotations)
	_, err = target.Apply(ctx, wanted.GetName(), wanted, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return err
}

// prune deletes what the AddOn once brought and no longer wants, among the given kinds.
func (c *cluster) prune(ctx context.Context, addon string, kinds []schema.GroupVersionKind, wanted []*unstructured.Unstructured) error {
	keep := map[string]bool{}
	for _, object := range wanted {
		keep[identity(object.GroupVersionKind(), object.GetNamespace(), object.GetName())] = true
	}
	for _, kind := range kinds {
		mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if meta.IsNoMatchError(err) {
			continue // its CRD is gone, and with it the objects
		}
		if err != nil {
			return err
		}
		found, err := c.client.Resource(mapping.Resource).List(ctx, metav1.ListOptions{LabelSelector: ownerLabel + "=" + ownerHash(addon)})
		if err != nil {
			return err
		}
		for index := range found.Items {
			item := &found.Items[index]
			namespaced := mapping.Scope.Name() == meta.RESTScopeNameNamespace
			if keep[identity(kind, item.GetNamespace(), item.GetName())] ||
				namespaced && item.GetNamespace() == metav1.NamespaceDefault && keep[identity(kind, "", item.GetName())] {
				continue
			}
			target, err := c.resource(kind, item.GetNamespace())
			if err != nil {
				return err
			}
			background := metav1.DeletePropagationBackground
			if err := target.Delete(ctx, item.GetName(), metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
				return err
			}
		}
	}
	return nil
}

func identity(kind schema.GroupVersionKind, namespace, name string) string {
	return strings.Join([]string{kind.Group, kind.Kind, namespace, name}, "/")
}

// kindsOf lists the kinds of the objects, each once, in a stable order.
func kindsOf(objects []*unstructured.Unstructured) []schema.GroupVersionKind {
	seen := map[schema.GroupVersionKind]bool{}
	var kinds []schema.GroupVersionKind
	for _, object := range objects {
		if kind := object.GroupVersionKind(); !seen[kind] {
			seen[kind] = true
			kinds = append(kinds, kind)
		}
	}
	sort.Slice(kinds, func(i, j int) bool { return kinds[i].String() < kinds[j].String() })
	return kinds
}
