package deploy

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func lay(t *testing.T, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range names {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestScan(t *testing.T) {
	cases := []struct {
		name     string
		files    []string
		disables []string
		want     map[string]bool // path → disabled
	}{
		{"kinds of files", []string{"a.yaml", "b.yml", "c.json", "d.txt", ".e.yaml"}, nil,
			map[string]bool{"a.yaml": false, "b.yml": false, "c.json": false}},
		{"skip beside it", []string{"a.yaml", "a.yaml.skip", "b.yaml"}, nil, map[string]bool{"b.yaml": false}},
		{"skip counts by name in every directory", []string{"a.yaml.skip", "sub/a.yaml", "sub/b.yaml"}, nil, map[string]bool{"sub/b.yaml": false}},
		{"disabled by base name", []string{"coredns.yaml", "runtimes.yaml"}, []string{"coredns"},
			map[string]bool{"coredns.yaml": true, "runtimes.yaml": false}},
		{"disabled by directory", []string{"metrics-server/api.yaml", "api.yaml"}, []string{"metrics-server"},
			map[string]bool{"metrics-server/api.yaml": true, "api.yaml": false}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			root := lay(t, c.files...)
			disables := map[string]bool{}
			for _, name := range c.disables {
				disables[name] = true
			}
			files, err := scan(root, disables)
			if err != nil {
				t.Fatal(err)
			}
			if len(files) != len(c.want) {
				t.Errorf("got %v", files)
			}
			for _, found := range files {
				relative, _ := filepath.Rel(root, found.path)
				if disabled, wanted := c.want[relative]; !wanted || disabled != found.disabled {
					t.Errorf("%s: disabled=%v", relative, found.disabled)
				}
			}
		})
	}
}

func TestScanFollowsLinkedDirectories(t *testing.T) {
	elsewhere := lay(t, "a.yaml")
	root := t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(root, "linked")); err != nil {
		t.Fatal(err)
	}
	files, err := scan(root, nil)
	if err != nil || len(files) != 1 {
		t.Errorf("got %v, %v", files, err)
	}
}

func TestScanWithoutDirectory(t *testing.T) {
	if files, err := scan("/nonexistent", nil); err != nil || len(files) != 0 {
		t.Errorf("got %v, %v", files, err)
	}
}

func TestAddonName(t *testing.T) {
	cases := map[string]string{"/m/coredns.yaml": "coredns", "/m/a.b.yaml": "a", "/m/with_underscore.yaml": "", "/m/Upper.yaml": ""}
	for path, want := range cases {
		got, err := addonName(path)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q, %v", path, got, err)
		}
	}
}

func TestParseObjects(t *testing.T) {
	cases := []struct {
		name, text string
		want       int
		fails      bool
	}{
		{"two documents and an empty one", "apiVersion: v1\nkind: A\n---\n---\n# nothing\n---\napiVersion: v1\nkind: B\n", 2, false},
		{"a list is opened", "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: A}, {apiVersion: v1, kind: B}]\n", 2, false},
		{"JSON", `{"apiVersion": "v1", "kind": "A"}`, 1, false},
		{"no kind", "apiVersion: v1\n", 0, true},
		{"not YAML", "a: [", 0, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			objects, err := parseObjects([]byte(c.text))
			if (err != nil) != c.fails || len(objects) != c.want {
				t.Errorf("got %d objects, %v", len(objects), err)
			}
		})
	}
}

func TestKindsSurviveTheAnnotation(t *testing.T) {
	objects, err := parseObjects([]byte("apiVersion: v1\nkind: ConfigMap\n---\napiVersion: apps/v1\nkind: Deployment\n---\napiVersion: v1\nkind: ConfigMap\n"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := kindsOf(objects)
	if len(kinds) != 2 {
		t.Fatalf("got %v", kinds)
	}
	addon := &unstructured.Unstructured{Object: map[string]any{}}
	addon.SetAnnotations(map[string]string{gvksAnnotation: encodeKinds(kinds)})
	recorded := recordedKinds(addon)
	if len(recorded) != 2 || recorded[0] != kinds[0] || recorded[1] != kinds[1] {
		t.Errorf("got %v, want %v", recorded, kinds)
	}
}
