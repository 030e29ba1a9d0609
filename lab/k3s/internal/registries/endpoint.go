package registries

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

const anyHost = "*"

// endpoint is one address that containerd asks for an image.
type endpoint struct {
	url          url.URL
	tls          *TLS
	rewrites     map[string]string
	overridePath bool
}

func (e *endpoint) sameAddress(other *endpoint) bool {
	return other != nil && e.url.String() == other.url.String()
}

// isLoopback tells whether host (without a port) is this machine: such registries speak plain HTTP by default.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// parseEndpoint normalises an endpoint as written in registries.yaml; the API path /v2 is added unless another path is given.
func parseEndpoint(address string) (*endpoint, error) {
	if !strings.Contains(address, "://") {
		address = "//" + address
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if parsed.Host == "" {
		return nil, fmt.Errorf("invalid URL without host: %s", address)
	}
	if parsed.Scheme == "" {
		parsed.Scheme = "https"
		if port := parsed.Port(); port != "" && port != "443" && isLoopback(parsed.Hostname()) {
			parsed.Scheme = "http"
		}
	}
	result := &endpoint{url: *parsed}
	switch parsed.Path {
	case "", "/", "/v2", "/v2/":
		result.url.Path = "/v2"
	default:
		result.overridePath = true
	}
	return result, nil
}

// defaultEndpoint is where containerd looks when no mirror answers: the registry itself.
func defaultEndpoint(host string) (*endpoint, error) {
	if host == "docker.io" {
		host = "registry-1.docker.io"
	}
	return parseEndpoint(host)
}
