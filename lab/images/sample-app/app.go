package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

const dependencyTimeout = 2 * time.Second

// app answers every request; it is ready STARTUP_SECONDS after it was made.
type app struct {
	settings
	started time.Time
	mu      sync.Mutex
	hog     [][]byte
}

func newApp(s settings) *app { return &app{settings: s, started: time.Now()} }

func (a *app) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	time.Sleep(a.latency)
	path := request.URL.Path
	switch {
	case path == "/count":
		a.count(w, request)
	case path == "/env":
		a.env(w, request)
	case path == "/version":
		answer(w, http.StatusOK, map[string]any{"version": a.version})
	case path == "/hog":
		a.allocate(w)
	case slices.Contains(a.readyPaths, path) || slices.Contains(a.healthPaths, path):
		a.health(w, request, slices.Contains(a.readyPaths, path))
	default:
		answer(w, http.StatusNotFound, map[string]any{"error": "no such path"})
	}
}

// health answers 200 or 503; the ready paths look at the dependencies as well.
func (a *app) health(w http.ResponseWriter, request *http.Request, ready bool) {
	if since := time.Since(a.started); since < a.startup {
		answer(w, http.StatusServiceUnavailable, map[string]any{"status": "starting", "seconds": since.Seconds()})
		return
	}
	if a.errorRate > 0 && rand.Float64() < a.errorRate {
		answer(w, http.StatusServiceUnavailable, map[string]any{"status": "error injected"})
		return
	}
	content := map[string]any{"status": "ok", "version": a.version}
	status := http.StatusOK
	if ready && len(a.readyRequires) > 0 {
		found, up := a.dependencies(request.Context())
		content["dependencies"] = found
		if !up && a.readyStrict {
			status, content["status"] = http.StatusServiceUnavailable, "dependency down"
		}
	}
	answer(w, status, content)
}

// dependencies asks all required ones at once; each is "up" or the reason it is not.
func (a *app) dependencies(ctx context.Context) (map[string]string, bool) {
	ctx, cancel := context.WithTimeout(ctx, dependencyTimeout)
	defer cancel()
	found := make(map[string]string, len(a.readyRequires))
	up := true
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, name := range a.readyRequires {
		wait.Add(1)
		go func() {
			defer wait.Done()
			err := probes[name](ctx, a.settings)
			mu.Lock()
			defer mu.Unlock()
			found[name] = "up"
			if err != nil {
				found[name], up = err.Error(), false
			}
		}()
	}
	wait.Wait()
	return found, up
}

func (a *app) count(w http.ResponseWriter, request *http.Request) {
	rows, err := countRows(request.Context(), a.settings)
	if err != nil {
		answer(w, http.StatusServiceUnavailable, map[string]any{"error": err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]any{"rows": rows})
}

func (a *app) env(w http.ResponseWriter, request *http.Request) {
	name := request.URL.Query().Get("name")
	value, allowed := a.echo[name]
	if !allowed {
		answer(w, http.StatusForbidden, map[string]any{"error": "not named in ECHO_ENV"})
		return
	}
	answer(w, http.StatusOK, map[string]any{"name": name, "value": value})
}

// allocate takes MEMORY_HOG_MB more and touches every page, so that the limit of the container is really hit.
func (a *app) allocate(w http.ResponseWriter) {
	block := make([]byte, a.hogMegabytes<<20)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	a.mu.Lock()
	a.hog = append(a.hog, block)
	blocks := len(a.hog)
	a.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"megabytes": blocks * a.hogMegabytes})
}

// logLines prints LOG_LINES lines every LOG_EVERY_SECONDS.
func (a *app) logLines(ctx context.Context) {
	if a.logCount == 0 || a.logEvery <= 0 {
		return
	}
	ticker := time.NewTicker(a.logEvery)
	defer ticker.Stop()
	for {
		for line := range a.logCount {
			fmt.Printf("{\"level\":\"info\",\"line\":%d,\"version\":%q}\n", line+1, a.version)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func answer(w http.ResponseWriter, status int, content map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(content)
}
