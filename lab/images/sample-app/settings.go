package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings is what the environment says, with defaults filled in.
type settings struct {
	ports         []int
	healthPaths   []string
	readyPaths    []string
	readyRequires []string
	readyStrict   bool // a missing dependency fails the ready paths
	databaseURL   string
	redisURL      string
	amqpURL       string
	startup       time.Duration
	latency       time.Duration
	errorRate     float64
	logCount      int
	logEvery      time.Duration
	hogMegabytes  int
	countQuery    string
	echo          map[string]string
	version       string
}

// reader reads typed values and remembers the first that is wrong.
type reader struct {
	get func(string) string
	err error
}

func (r *reader) text(name, fallback string) string {
	if value := r.get(name); value != "" {
		return value
	}
	return fallback
}

func (r *reader) list(name, fallback string) []string {
	var found []string
	for _, item := range strings.Split(r.text(name, fallback), ",") {
		if item = strings.TrimSpace(item); item != "" {
			found = append(found, item)
		}
	}
	return found
}

func (r *reader) number(name string, fallback float64) float64 {
	value, err := strconv.ParseFloat(r.text(name, fmt.Sprint(fallback)), 64)
	if (err != nil || value < 0) && r.err == nil {
		r.err = fmt.Errorf("%s='%s' is no number of zero or more", name, r.get(name))
	}
	return value
}

func (r *reader) seconds(name string, fallback float64) time.Duration {
	return time.Duration(r.number(name, fallback) * float64(time.Second))
}

// fromEnvironment reads the settings; an error names the variable and its value.
func fromEnvironment(get func(string) string) (settings, error) {
	r := &reader{get: get}
	s := settings{
		healthPaths:   r.list("HEALTH_PATHS", "/health,/health/live,/health/ready,/healthz,/,/api/health/ready"),
		readyPaths:    r.list("READY_PATHS", "/health/ready,/api/health/ready"),
		readyRequires: r.list("READY_REQUIRES", ""),
		readyStrict:   r.text("READINESS_REQUIRE_DEPENDENCIES", "true") != "false",
		databaseURL:   r.text("DATABASE_URL", ""),
		redisURL:      r.text("REDIS_URL", "redis://redis:6379"),
		amqpURL:       r.text("AMQP_URL", "amqp://rabbitmq:5672"),
		startup:       r.seconds("STARTUP_SECONDS", 0),
		latency:       r.seconds("LATENCY_MS", 0) / 1000,
		errorRate:     r.number("ERROR_RATE", 0),
		logCount:      int(r.number("LOG_LINES", 0)),
		logEvery:      r.seconds("LOG_EVERY_SECONDS", 60),
		hogMegabytes:  int(r.number("MEMORY_HOG_MB", 0)),
		countQuery:    r.text("COUNT_QUERY", "SELECT count(*) FROM tracks"),
		echo:          map[string]string{},
		version:       r.text("APP_VERSION", "unknown"),
	}
	for _, name := range r.list("ECHO_ENV", "") {
		s.echo[name] = get(name)
	}
	for _, item := range r.list("PORTS", "8080") {
		port, err := strconv.Atoi(item)
		if err != nil || port < 1 || port > 65535 {
			return s, fmt.Errorf("PORTS: '%s' is no port", item)
		}
		if !slices.Contains(s.ports, port) {
			s.ports = append(s.ports, port)
		}
	}
	for _, name := range s.readyRequires {
		if _, known := probes[name]; !known {
			return s, fmt.Errorf("READY_REQUIRES: '%s' is none of postgres, redis, rabbitmq", name)
		}
	}
	return s, r.err
}
