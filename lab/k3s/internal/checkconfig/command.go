package checkconfig

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// run collects one check's output and its failures.
type run struct {
	out      io.Writer
	colour   bool
	failures int
}

func (r *run) line(format string, values ...any) { fmt.Fprintf(r.out, format+"\n", values...) }

func (r *run) pass(format string, values ...any) { r.line(format, values...) }

func (r *run) fail(format string, values ...any) {
	r.failures++
	r.line(format+" (fail)", values...)
}

func (r *run) paint(code, text string) string {
	if !r.colour {
		return text
	}
	return "\033[" + code + "m" + text + "\033[m"
}

func (r *run) green(text string) string  { return r.paint("32", text) }
func (r *run) yellow(text string) string { return r.paint("33", text) }
func (r *run) red(text string) string    { return r.paint("31;1", text) }

// Command prints the checks to out and returns the process's exit code: the number of failures,
// 1 without a kernel configuration.
func Command(dataDir string, out io.Writer) int {
	check := &run{out: out, colour: os.Getenv("NO_COLOR") == ""}
	check.binaries(filepath.Join(dataDir, "data", "current", "bin"))
	check.system()
	check.limits()
	path, options, err := readKernelConfig(kernelConfigPaths(kernelRelease()))
	if err != nil {
		check.line("error: %v", err)
		check.line("  try running this script again, specifying the kernel config:")
		check.line("    CONFIG=/path/to/kernel/.config k3s check-config")
		return 1
	}
	check.line("info: reading kernel config from %s ...", path)
	check.line("")
	check.kernel(options)
	if check.failures == 0 {
		check.line("STATUS: %s", check.green("pass"))
	} else {
		check.line("STATUS: %s", check.red(fmt.Sprintf("%d (fail)", check.failures)))
	}
	return check.failures
}

func (r *run) kernel(options map[string]string) {
	r.line("Generally Necessary:")
	r.cgroups()
	r.apparmor()
	for _, name := range needed {
		if state, ok := r.option(options, name); ok {
			r.pass("- CONFIG_%s: %s", name, state)
		} else {
			r.fail("- CONFIG_%s: %s", name, state)
		}
	}
	r.line("")
	r.line("Optional Features:")
	for _, name := range optional {
		state, _ := r.option(options, name)
		r.line("- CONFIG_%s: %s", name, state)
	}
	for _, part := range drivers {
		r.line("- %s:\n  - %q:", part.group, part.driver)
		for _, name := range part.options {
			state, _ := r.option(options, name)
			r.line("    - CONFIG_%s: %s", name, state)
		}
	}
	r.line("")
}

// option renders an option's state and tells whether the kernel has it, built in or as a module.
func (r *run) option(options map[string]string, name string) (string, bool) {
	switch options[name] {
	case "y":
		return r.green("enabled"), true
	case "m":
		return r.green("enabled (as module)"), true
	default:
		return r.red("missing"), false
	}
}

func kernelRelease() string {
	var uname syscall.Utsname
	if err := syscall.Uname(&uname); err != nil {
		return ""
	}
	var text strings.Builder
	for _, char := range uname.Release {
		if char == 0 {
			break
		}
		text.WriteByte(byte(char))
	}
	return text.String()
}
