package registries

import (
	"fmt"
	"sort"

	"github.com/sirupsen/logrus"
)

// hostConfig is the content of one certs.d/<host>/hosts.toml.
type hostConfig struct {
	fallback  *endpoint
	endpoints []endpoint
}

// HostsTOML renders certs.d: directory name → text of its hosts.toml. With noDefault the registry itself is not
// asked once its mirrors have failed; that concerns only registries that have mirrors.
func HostsTOML(registry *Registry, noDefault bool) map[string]string {
	rendered := map[string]string{}
	for host, config := range hostConfigs(registry, noDefault) {
		if host == anyHost {
			host = "_default"
		}
		rendered[host] = renderHosts(config)
	}
	return rendered
}

func hostConfigs(registry *Registry, noDefault bool) map[string]*hostConfig {
	hosts := map[string]*hostConfig{}
	for host, config := range registry.Configs {
		if !config.TLS.set() {
			continue // nothing but defaults: containerd needs no file for that
		}
		hosts[host] = &hostConfig{fallback: fallbackFor(registry, host)}
	}
	for host, mirror := range registry.Mirrors {
		config, known := hosts[host]
		if !known {
			config = &hostConfig{fallback: fallbackFor(registry, host)}
		}
		if noDefault {
			config.fallback = nil
		}
		addMirrors(registry, config, host, mirror)
		if known || len(config.endpoints) > 0 || noDefault {
			hosts[host] = config
		}
	}
	return hosts
}

func fallbackFor(registry *Registry, host string) *endpoint {
	if host == anyHost {
		return &endpoint{tls: registry.Configs[host].TLS}
	}
	fallback, err := defaultEndpoint(host)
	if err != nil {
		logrus.Errorf("Failed to generate config for registry %s: %v", host, err)
		return nil
	}
	fallback.tls = registry.tlsFor(host)
	return fallback
}

func (r *Registry) tlsFor(host string) *TLS {
	if config, ok := r.Configs[host]; ok {
		return config.TLS
	}
	return r.Configs[anyHost].TLS
}

func addMirrors(registry *Registry, config *hostConfig, host string, mirror Mirror) {
	seen := map[string]bool{}
	for index, address := range mirror.Endpoints {
		parsed, err := parseEndpoint(address)
		if err != nil {
			logrus.Warnf("Ignoring invalid endpoint URL %d=%s for %s: %v", index, address, host, err)
			continue
		}
		if seen[parsed.url.String()] {
			logrus.Warnf("Skipping duplicate endpoint URL %d=%s for %s", index, address, host)
			continue
		}
		seen[parsed.url.String()] = true
		parsed.tls = registry.tlsFor(parsed.url.Host)
		parsed.rewrites = mirror.Rewrites
		if index+1 == len(mirror.Endpoints) && parsed.sameAddress(config.fallback) {
			config.fallback = parsed // the registry itself, named last, stays the fallback
			continue
		}
		config.endpoints = append(config.endpoints, *parsed)
	}
}

// AuthTOML renders the part of config.toml that carries credentials; empty without any.
func AuthTOML(registry *Registry) string {
	text := ""
	for _, host := range sortedKeys(registry.Configs) {
		auth := registry.Configs[host].Auth
		if auth == nil {
			continue
		}
		text += fmt.Sprintf("\n[plugins.'io.containerd.cri.v1.images'.registry.configs.'%s'.auth]\n", host)
		for _, pair := range [][2]string{
			{"username", auth.Username}, {"password", auth.Password}, {"auth", auth.Auth}, {"identitytoken", auth.IdentityToken},
		} {
			if pair[1] != "" {
				text += fmt.Sprintf("  %s = %q\n", pair[0], pair[1])
			}
		}
	}
	return text
}

func sortedKeys[V any](values map[string]V) []string {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
