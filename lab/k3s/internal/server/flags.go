package server

import (
	"sort"
	"strings"
)

// renderFlags turns a component's defaults and the administrator's `key=value` arguments into flags, sorted by name.
// A given key replaces the default; `key+=value` puts the value before it, and `key-=` takes the flag away.
func renderFlags(defaults map[string]string, given []string) []string {
	values := map[string][]string{}
	for name, value := range defaults {
		values[name] = []string{value}
	}
	replaced := map[string]bool{}
	for _, argument := range given {
		name, value, found := strings.Cut(strings.TrimLeft(argument, "-"), "=")
		if !found {
			value = "true"
		}
		switch {
		case strings.HasSuffix(name, "+"):
			name = strings.TrimSuffix(name, "+")
			if former := strings.Join(values[name], ","); former != "" {
				value += "," + former
			}
			values[name] = []string{value}
		case strings.HasSuffix(name, "-"):
			delete(values, strings.TrimSuffix(name, "-"))
			continue
		case replaced[name]:
			values[name] = append(values[name], value)
		default:
			values[name] = []string{value}
		}
		replaced[name] = true
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	var flags []string
	for _, name := range names {
		for _, value := range values[name] {
			flags = append(flags, "--"+name+"="+value)
		}
	}
	return flags
}
