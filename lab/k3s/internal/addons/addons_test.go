package addons

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func never(string) bool { return false }

func stage(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	values := Values{ClusterDNS: "10.43.0.10", ClusterDomain: "cluster.local", LocalStorage: "/data/storage", SystemDefaultRegistry: "r.example"}
	if err := Stage(directory, values, never); err != nil {
		t.Fatal(err)
	}
	return directory
}

func TestStagedManifestsAreWholeAndPrivate(t *testing.T) {
	count := 0
	err := filepath.WalkDir(stage(t), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		count++
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.Contains(string(content), "%{") {
			t.Errorf("%s has an unfilled placeholder", path)
		}
		for _, document := range strings.Split(string(content), "\n---\n") {
			object := map[string]any{}
			if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil || object["kind"] == nil || object["apiVersion"] == nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		return nil
	})
	if err != nil || count != 12 {
		t.Errorf("%d manifests, %v", count, err)
	}
}

func TestSystemDefaultRegistryPrefixesImages(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(stage(t), "coredns.yaml"))
	if err != nil || !strings.Contains(string(content), `image: "r.example/rancher/mirrored-coredns-coredns:1.14.6"`) {
		t.Errorf("%v", err)
	}
}

func TestSkippedManifestIsLeftAlone(t *testing.T) {
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "coredns.yaml.skip"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Stage(directory, Values{}, func(name string) bool { return name == "ccm.yaml" }); err != nil {
		t.Fatal(err)
	}
	for name, present := range map[string]bool{"coredns.yaml": false, "ccm.yaml": false, "runtimes.yaml": true} {
		if _, err := os.Stat(filepath.Join(directory, name)); (err == nil) != present {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNodeHosts(t *testing.T) {
	node := func(name string, addresses ...string) core.Node {
		var found core.Node
		for _, address := range addresses {
			found.Status.Addresses = append(found.Status.Addresses, core.NodeAddress{Type: core.NodeInternalIP, Address: address})
		}
		found.Status.Addresses = append(found.Status.Addresses, core.NodeAddress{Type: core.NodeHostName, Address: name})
		return found
	}
	got := nodeHosts([]core.Node{node("b", "10.0.0.2"), node("a", "10.0.0.1"), node("c")})
	if got != "10.0.0.1 a\n10.0.0.2 b\n" {
		t.Errorf("got %q", got)
	}
}
