// Package supervise runs the node's programs as child processes that do not outlive the supervisor.
package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// errorFD is the descriptor on which a component of this binary says why it ends; see ReportError.
const errorFD = 3

const maxReport = 64 << 10 // bytes

// Spec says how to start one program.
type Spec struct {
	Name string    // what it is called when it exits, as in "apiserver exited"
	Path string    // executable
	Argv []string  // argv[0] and the arguments
	Dir  string    // working directory
	Env  []string  // added to the supervisor's environment
	Out  io.Writer // where its output goes; nil means the supervisor's own standard error
}

// Process is a started program.
type Process struct {
	Name string
	// Done is closed when the program has ended; Err tells why from then on.
	Done chan struct{}
	err  error
	cmd  *exec.Cmd
}

// Start starts a program that the kernel kills if this process dies, however it dies: a component left over from a
// killed supervisor would hold the ports that the next one needs.
func Start(spec Spec) (*Process, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: spec.Path, Args: spec.Argv, Dir: spec.Dir, ExtraFiles: []*os.File{writer}}
	cmd.Env = append(os.Environ(), spec.Env...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if spec.Out != nil {
		cmd.Stdout, cmd.Stderr = spec.Out, spec.Out
	}
	// A group of its own: a signal to the supervisor's group must not reach it before the supervisor has decided.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	process := &Process{Name: spec.Name, Done: make(chan struct{}), cmd: cmd}
	started := make(chan error)
	go func() {
		// The death signal is tied to the thread that forked: it has to stay until the child ends.
		runtime.LockOSThread()
		err := cmd.Start()
		writer.Close()
		started <- err
		if err != nil {
			reader.Close()
			return
		}
		reports := make(chan string, 1)
		go func() {
			report, _ := io.ReadAll(io.LimitReader(reader, maxReport))
			reports <- string(report)
		}()
		err = cmd.Wait()
		process.err = reason(err, reports)
		reader.Close()
		close(process.Done)
	}()
	return process, <-started
}

// reason prefers the component's own words to its exit status. A grandchild may hold the pipe open: wait but little.
func reason(err error, reports <-chan string) error {
	select {
	case report := <-reports:
		if report = strings.TrimSpace(report); report != "" {
			return errors.New(report)
		}
	case <-time.After(200 * time.Millisecond):
	}
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// Err is the reason why the program ended, prefixed with its name; it blocks until then.
func (p *Process) Err() error {
	<-p.Done
	return fmt.Errorf("%s exited: %w", p.Name, p.err)
}

// Stop asks the program to end, and kills it when it has not within the grace period.
func (p *Process) Stop(grace time.Duration) {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.Done:
	case <-time.After(grace):
		_ = p.cmd.Process.Kill()
		<-p.Done
	}
}

// ReportError is called in a component's process: it hands the reason of its end to the supervisor, or prints it when
// there is none.
func ReportError(reason error) {
	pipe := os.NewFile(errorFD, "supervisor")
	if info, err := pipe.Stat(); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		if _, err := fmt.Fprintln(pipe, reason); err == nil {
			return
		}
	}
	fmt.Fprintln(os.Stderr, reason)
}

// KeepReportPrivate keeps the programs that a component starts from inheriting the report's descriptor.
func KeepReportPrivate() { syscall.CloseOnExec(errorFD) }
