package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"holdfast/lab/k3s/internal/certs"
)

// serveSupervisor opens the port that everyone knows. It answers /ping and /cacerts itself and hands everything else
// to the API server: a client certificate that was checked here becomes the user that the API server is told by its
// front proxy, anything else (bearer tokens) passes as it is.
func (s *server) serveSupervisor(context.Context) error {
	certificate, err := certs.Listener(s.paths, s.certOptions(), time.Now())
	if err != nil {
		return err
	}
	clients, err := pool(filepath.Join(s.paths.TLS, "client-ca.crt"))
	if err != nil {
		return err
	}
	proxy, err := s.newProxy()
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(filepath.Join(s.paths.TLS, "server-ca.crt"))
	if err != nil {
		return err
	}
	routes := http.NewServeMux()
	routes.HandleFunc("/ping", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "pong") })
	routes.HandleFunc("/cacerts", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(authority)
	})
	routes.Handle("/", proxy)
	listener, err := net.Listen("tcp", net.JoinHostPort(s.config.String("bind-address"), s.config.String("https-listen-port")))
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: routes,
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{*certificate}, ClientCAs: clients,
			ClientAuth: tls.VerifyClientCertIfGiven, MinVersion: tls.VersionTLS12,
		},
		ErrorLog: log.New(logrus.StandardLogger().WriterLevel(logrus.DebugLevel), "", 0),
	}
	go func() {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("supervisor exited: %w", err)
		}
	}()
	context.AfterFunc(s.life, func() { server.Close() })
	return nil
}

// newProxy builds the way to the API server for the four kinds of request: with or without a checked certificate,
// upgraded (exec, port-forward: HTTP/1.1 alone can) or not.
func (s *server) newProxy() (http.Handler, error) {
	authorities, err := pool(filepath.Join(s.paths.TLS, "server-ca.crt"))
	if err != nil {
		return nil, err
	}
	front, err := tls.LoadX509KeyPair(filepath.Join(s.paths.TLS, "client-auth-proxy.crt"), filepath.Join(s.paths.TLS, "client-auth-proxy.key"))
	if err != nil {
		return nil, err
	}
	transport := func(upgrade bool, certificates ...tls.Certificate) http.RoundTripper {
		return &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: authorities, Certificates: certificates, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:   !upgrade,
			MaxIdleConnsPerHost: 32, IdleConnTimeout: 90 * time.Second,
		}
	}
	ways := map[[2]bool]http.RoundTripper{
		{false, false}: transport(false), {false, true}: transport(true),
		{true, false}: transport(false, front), {true, true}: transport(true, front),
	}
	target, err := url.Parse(apiServer)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		FlushInterval: -1, // watches must not wait for a full buffer
		ErrorLog:      log.New(logrus.StandardLogger().WriterLevel(logrus.DebugLevel), "", 0),
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target)
			request.Out.Host = request.In.Host
			identify(request)
		},
		Transport: roundTripper(func(request *http.Request) (*http.Response, error) {
			_, checked := request.Header["X-Remote-User"]
			return ways[[2]bool{checked, request.Header.Get("Upgrade") != ""}].RoundTrip(request)
		}),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			logrus.Debugf("Proxy error: %v", err)
			http.Error(w, "apiserver not ready", http.StatusServiceUnavailable)
		},
	}, nil
}

// identify sets the headers that only this proxy may set, and none that the client sent.
func identify(request *httputil.ProxyRequest) {
	for name := range request.Out.Header {
		if strings.HasPrefix(name, "X-Remote-") {
			request.Out.Header.Del(name)
		}
	}
	state := request.In.TLS
	if state == nil || len(state.VerifiedChains) == 0 {
		return
	}
	subject := state.PeerCertificates[0].Subject
	request.Out.Header.Set("X-Remote-User", subject.CommonName)
	for _, group := range subject.Organization {
		request.Out.Header.Add("X-Remote-Group", group)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

func pool(path string) (*x509.CertPool, error) {
	chain, err := certs.ReadCertificates(path)
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool()
	for _, certificate := range chain {
		authorities.AddCert(certificate)
	}
	return authorities, nil
}
