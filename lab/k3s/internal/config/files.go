package config

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	yaml "go.yaml.in/yaml/v2"
)

// readFiles renders file and the drop-ins beside it as flags. A key of a later file replaces the earlier one;
// `key+` appends to it. A missing file is an empty one.
func readFiles(file string) ([]string, error) {
	var order []string
	merged := map[string][]string{}
	for _, path := range append([]string{file}, dropins(file)...) {
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var document yaml.MapSlice
		if err := yaml.Unmarshal(content, &document); err != nil {
			return nil, fmt.Errorf("failed to parse %s: %w", path, err)
		}
		for _, item := range document {
			key, appends := strings.CutSuffix(fmt.Sprint(item.Key), "+")
			key = canonical(key)
			if _, seen := merged[key]; !seen {
				order = append(order, key)
			}
			if !appends {
				merged[key] = nil
			}
			merged[key] = append(merged[key], flatten(item.Value)...)
		}
	}
	var args []string
	for _, key := range order {
		for _, value := range merged[key] {
			args = append(args, "--"+key+"="+value)
		}
	}
	return args, nil
}

func dropins(file string) []string {
	var found []string
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		matches, _ := filepath.Glob(filepath.Join(file+".d", pattern))
		found = append(found, matches...)
	}
	sort.Strings(found)
	return found
}

func flatten(value any) []string {
	switch value := value.(type) {
	case nil:
		return []string{""}
	case []any:
		var all []string
		for _, element := range value {
			all = append(all, flatten(element)...)
		}
		return all
	default:
		return []string{fmt.Sprint(value)}
	}
}
