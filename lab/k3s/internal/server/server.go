// Package server is `k3s server`: it prepares the data directory, runs the datastore in its own process and every
// other component in a child process, and ends when one of them does.
package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"holdfast/lab/k3s/internal/config"
	"holdfast/lab/k3s/internal/paths"
	"holdfast/lab/k3s/internal/supervise"
	"holdfast/lab/k3s/internal/version"
)

// stopGrace is how long a component may take to end before it is killed. All state is in the datastore and on disk.
const stopGrace = 3 * time.Second

// server is one run of `k3s server`.
type server struct {
	config *config.Config
	paths  paths.Paths
	node   node
	secret secret

	life   context.Context    // ends when the server is to stop
	end    context.CancelFunc // ends life
	failed chan error         // every component that ends writes its reason here

	mutex     sync.Mutex
	processes []*supervise.Process // in the order of their start
}

// Run is the subcommand: it returns nil after an orderly stop, an error for everything that ends k3s with exit code 1.
func Run(args []string) error {
	settings, err := config.Load(args)
	if err != nil {
		return err
	}
	if settings.Bool("debug") {
		logrus.SetLevel(logrus.DebugLevel)
	}
	if err := refuseUnsupported(settings); err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()

	this, err := describeNode(settings)
	if err != nil {
		return err
	}
	s := &server{config: settings, paths: settings.Paths(), node: this, failed: make(chan error, 16)}
	logrus.Infof("Starting k3s %s (%s)", version.Version, version.Commit)
	s.life, s.end = context.WithCancel(ctx)
	var store *datastore
	// A database that is damaged holds up the preparation for good: a stop must not wait for it.
	err = s.during(ctx, func(inner context.Context) (err error) {
		store, err = s.prepare(inner)
		return err
	})
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("preparing server: %w", err)
	}
	err = s.run(ctx)
	s.stop()
	store.close()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// ErrShutdown wraps the end of a component: it has been logged already.
var ErrShutdown = errors.New("shutdown")

func (s *server) run(ctx context.Context) error {
	steps := []func(context.Context) error{
		s.startContainerd,
		s.startAPIServer,
		s.serveSupervisor,
		s.waitForAPIServer,
		s.startScheduler,
		s.startControllerManager,
		s.writeUserKubeconfig,
		s.startAgent,
	}
	for _, step := range steps {
		if err := s.during(ctx, step); err != nil {
			return err
		}
	}
	s.keepUp()
	logrus.Info("k3s is up and running")
	if err := supervise.Ready(); err != nil {
		logrus.Warnf("Failed to notify systemd: %v", err)
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return s.shutdown(err)
	}
}

// during runs one step of the start, and gives up on it when a component ends meanwhile.
func (s *server) during(ctx context.Context, step func(context.Context) error) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- step(inner) }()
	select {
	case err := <-result:
		return err
	case err := <-s.failed:
		return s.shutdown(err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *server) shutdown(reason error) error {
	logrus.Errorf("Shutdown request received: %q", reason.Error())
	return ErrShutdown
}

// start runs one program and reports its end, whatever the reason.
func (s *server) start(spec supervise.Spec) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.life.Err() != nil {
		return s.life.Err()
	}
	process, err := supervise.Start(spec)
	if err != nil {
		return fmt.Errorf("start %s: %w", spec.Name, err)
	}
	s.processes = append(s.processes, process)
	go func() { s.failed <- process.Err() }()
	return nil
}

// stop ends the components, all at once: an orderly end of one would wait for the next in vain. Containers stay: their
// shims are no children.
func (s *server) stop() {
	s.end()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var group sync.WaitGroup
	for _, process := range s.processes {
		group.Go(func() { process.Stop(stopGrace) })
	}
	group.Wait()
}

// refuseUnsupported names what the stand-in does not do, before anything is written.
func refuseUnsupported(settings *config.Config) error {
	if os.Geteuid() != 0 {
		return errors.New("server must run as root, or with --rootless and/or --disable-agent")
	}
	for _, name := range []string{"cluster-init", "cluster-reset", "rootless", "docker"} {
		if settings.Bool(name) {
			return fmt.Errorf("--%s is not supported by this build: it is a single server on SQLite", name)
		}
	}
	if url := settings.String("server"); url != "" {
		return fmt.Errorf("joining %s is not supported by this build: it is a single server on SQLite", url)
	}
	if endpoint := settings.String("datastore-endpoint"); endpoint != "" {
		return errors.New("--datastore-endpoint is not supported by this build: it keeps SQLite in server/db/state.db")
	}
	return nil
}

// executable is this very program, to be run again as a component.
func executable() string {
	path, err := os.Executable()
	if err != nil {
		return filepath.Join("/proc", "self", "exe")
	}
	return path
}
