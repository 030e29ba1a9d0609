package certcheck

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
)

type stringList []string

func (l *stringList) String() string { return fmt.Sprint([]string(*l)) }

// Set adds one occurrence of a repeatable flag.
func (l *stringList) Set(value string) error {
	*l = append(*l, value)
	return nil
}

// Command runs `k3s certificate check|rotate …` (args: the subcommand and what follows) against the data directory; tables and JSON go to out.
func Command(dataDir string, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("certificate "+args[0], flag.ContinueOnError)
	var services stringList
	var format string
	flags.Var(&services, "service", "service to work on (comma list, repeatable); default: all")
	flags.Var(&services, "s", "same as --service")
	flags.StringVar(&format, "output", "text", "text, table, json or yaml")
	flags.StringVar(&format, "o", "text", "same as --output")
	flags.StringVar(&dataDir, "data-dir", dataDir, "k3s data directory")
	flags.StringVar(&dataDir, "d", dataDir, "same as --data-dir")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	selected, err := selectServices(services)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dataDir, "server", "tls")); err != nil {
		return err
	}
	switch args[0] {
	case "check":
		logrus.Info("Server detected, checking agent and server certificates")
		report, err := Inspect(dataDir, selected, time.Now())
		if err != nil {
			return err
		}
		return Print(out, report, format)
	default:
		return Rotate(dataDir, selected, time.Now())
	}
}
