// Command sample-app stands for any service of a system in the lab: its ports, health, latency, errors, log lines and
// dependencies are set by environment. "sample-app wait tcp HOST PORT SECONDS" is a wait-for tool.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const drain = 2 * time.Second

func main() {
	if len(os.Args) > 1 {
		os.Exit(tool(os.Args[1:]))
	}
	settings, err := fromEnvironment(os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sample-app:", err)
		os.Exit(2)
	}
	if err := serve(settings); err != nil {
		fmt.Fprintln(os.Stderr, "sample-app:", err)
		os.Exit(1)
	}
}

// serve listens on all ports until SIGTERM or SIGINT, then answers for two more seconds and ends.
func serve(settings settings) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	app := newApp(settings)
	failed := make(chan error, len(settings.ports))
	var servers []*http.Server
	for _, port := range settings.ports {
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		server := &http.Server{Handler: app, ReadHeaderTimeout: 5 * time.Second}
		servers = append(servers, server)
		go func() { failed <- server.Serve(listener) }()
	}
	fmt.Printf("sample-app %s listens on %v\n", settings.version, settings.ports)
	go app.logLines(ctx)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	fmt.Println("sample-app: SIGTERM, draining")
	time.Sleep(drain)
	ending, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	var wait sync.WaitGroup
	for _, server := range servers {
		wait.Add(1)
		go func() { defer wait.Done(); _ = server.Shutdown(ending) }()
	}
	wait.Wait()
	return nil
}

// tool runs a subcommand and returns its exit code.
func tool(args []string) int {
	if len(args) != 5 || args[0] != "wait" || args[1] != "tcp" {
		fmt.Fprintln(os.Stderr, "usage: sample-app [wait tcp HOST PORT SECONDS]")
		return 2
	}
	seconds, err := strconv.ParseFloat(args[4], 64)
	if err != nil {
		fmt.Fprintf(os.Stderr, "sample-app: SECONDS '%s' is no number\n", args[4])
		return 2
	}
	address := net.JoinHostPort(args[2], args[3])
	if err := waitTCP(address, time.Duration(seconds*float64(time.Second))); err != nil {
		fmt.Fprintln(os.Stderr, "sample-app:", err)
		return 1
	}
	fmt.Println(address, "answers")
	return 0
}

// waitTCP tries to connect until it works or the time is over.
func waitTCP(address string, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return connection.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not answer within %s: %w", address, limit, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
