// Package config merges what k3s is told: config.yaml, config.yaml.d/*.yaml and the command line.
package config

import (
	"fmt"
	"os"
	"strings"

	"github.com/sirupsen/logrus"

	"holdfast/lab/k3s/internal/paths"
)

// Config holds the merged values of one `k3s server` run.
type Config struct {
	values map[string][]string
	// Args are the flags as k3s sees them, those from files first; they end up in the node-args annotation.
	Args []string
}

// Load reads the configuration files and then args, the command line behind `server`. Unknown keys in files are
// warned about and skipped; an unknown flag in args is an error.
func Load(args []string) (*Config, error) {
	fromFiles, err := readFiles(configFile(args))
	if err != nil {
		return nil, err
	}
	config := &Config{values: map[string][]string{}}
	var accepted []string
	for _, arg := range fromFiles {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if _, known := options[canonical(name)]; !known {
			logrus.Warnf("Unknown flag --%s found in config.yaml, skipping\n", name)
			continue
		}
		accepted = append(accepted, arg)
	}
	if err := config.parse(accepted); err != nil {
		return nil, err
	}
	if err := config.parse(args); err != nil {
		return nil, err
	}
	config.Args = append(accepted, args...)
	return config, nil
}

// configFile finds the main configuration file: --config, K3S_CONFIG_FILE, or the default place.
func configFile(args []string) string {
	for i, arg := range args {
		name, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || canonical(name) != "config" {
			continue
		}
		if joined {
			return value
		}
		if i+1 < len(args) {
			return args[i+1]
		}
	}
	if file := os.Getenv("K3S_CONFIG_FILE"); file != "" {
		return file
	}
	return paths.ConfigFile
}

// parse takes flags over what earlier calls have set; a list given again replaces the former one.
func (c *Config) parse(args []string) error {
	fresh := map[string]bool{}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") {
			return fmt.Errorf("flag provided but not defined: %s", arg)
		}
		name, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		name = canonical(name)
		option, known := options[name]
		if !known {
			return fmt.Errorf("flag provided but not defined: -%s", name)
		}
		if !joined {
			switch {
			case option.kind == boolean:
				value = "true"
			case i+1 < len(args):
				i++
				value = args[i]
			default:
				return fmt.Errorf("flag needs an argument: -%s", name)
			}
		}
		if option.kind == list && fresh[name] {
			c.values[name] = append(c.values[name], value)
		} else {
			c.values[name] = []string{value}
		}
		fresh[name] = true
	}
	return nil
}

// String is the value of a text option, its default when it was not given. The environment variables K3S_TOKEN,
// K3S_DATA_DIR, K3S_URL and the like come before the default.
func (c *Config) String(name string) string {
	if values := c.values[name]; len(values) > 0 {
		return values[len(values)-1]
	}
	if value := os.Getenv(environment[name]); environment[name] != "" && value != "" {
		return value
	}
	return options[name].fallback
}

var environment = map[string]string{
	"token": "K3S_TOKEN", "token-file": "K3S_TOKEN_FILE", "data-dir": "K3S_DATA_DIR", "server": "K3S_URL",
	"node-name": "K3S_NODE_NAME", "write-kubeconfig": "K3S_KUBECONFIG_OUTPUT", "datastore-endpoint": "K3S_DATASTORE_ENDPOINT",
	"write-kubeconfig-mode": "K3S_KUBECONFIG_MODE", "write-kubeconfig-group": "K3S_KUBECONFIG_GROUP",
	"system-default-registry": "K3S_SYSTEM_DEFAULT_REGISTRY", "resolv-conf": "K3S_RESOLV_CONF",
}

// Bool is the value of a boolean option.
func (c *Config) Bool(name string) bool {
	switch strings.ToLower(c.String(name)) {
	case "true", "1", "t", "yes":
		return true
	}
	return false
}

// List is the value of a list option, one element per occurrence.
func (c *Config) List(name string) []string { return c.values[name] }

// SplitList is a list option whose elements may themselves be comma lists, as in `disable: traefik,servicelb`.
func (c *Config) SplitList(name string) []string {
	var all []string
	for _, value := range c.values[name] {
		for _, part := range strings.Split(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				all = append(all, part)
			}
		}
	}
	return all
}

// Paths is the layout of the data directory in use.
func (c *Config) Paths() paths.Paths { return paths.New(c.String("data-dir")) }
