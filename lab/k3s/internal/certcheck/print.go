package certcheck

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sirupsen/logrus"
	"sigs.k8s.io/yaml"
)

// Print writes the report in one of the formats text (log lines), table, json, yaml.
func Print(out io.Writer, report Report, format string) error {
	switch format {
	case "text":
		logEntries(report)
		return nil
	case "table":
		return printTable(out, report)
	case "json":
		return json.NewEncoder(out).Encode(report)
	case "yaml":
		text, err := yaml.Marshal(report)
		if err == nil {
			_, err = out.Write(text)
		}
		return err
	default:
		return fmt.Errorf("invalid output format %s", format)
	}
}

func logEntries(report Report) {
	for _, entry := range report.Certificates {
		usage := strings.Join(entry.Usages, ",")
		expiry := entry.ExpiryTime.Format(time.RFC3339)
		switch entry.Status {
		case "EXPIRED":
			logrus.Errorf("%s: certificate %s (%s) expired at %s", entry.Filename, entry.Subject, usage, expiry)
		case "NOT YET VALID":
			logrus.Errorf("%s: certificate %s (%s) is not yet valid", entry.Filename, entry.Subject, usage)
		case "WARNING":
			logrus.Warnf("%s: certificate %s (%s) will expire within 120 days at %s", entry.Filename, entry.Subject, usage, expiry)
		default:
			logrus.Infof("%s: certificate %s (%s) is ok, expires at %s", entry.Filename, entry.Subject, usage, expiry)
		}
	}
}

func printTable(out io.Writer, report Report) error {
	table := tabwriter.NewWriter(out, 10, 1, 3, ' ', 0)
	fmt.Fprint(table, "\nFILENAME\tSUBJECT\tUSAGES\tEXPIRES\tRESIDUAL TIME\tSTATUS\n")
	fmt.Fprint(table, "--------\t-------\t------\t-------\t-------------\t------\n")
	for _, entry := range report.Certificates {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", entry.Filename, entry.Subject, strings.Join(entry.Usages, ","),
			entry.ExpiryTime.Format("Jan 02, 2006 15:04 MST"), humanDuration(entry.ResidualTime), entry.Status)
	}
	return table.Flush()
}

// humanDuration rounds a span down to one unit, as people say it; a year is 12 months of 30 days.
func humanDuration(span time.Duration) string {
	const day = 24 * time.Hour
	span = span.Abs()
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{
		{"year", 360 * day}, {"month", 30 * day}, {"week", 7 * day}, {"day", day}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second},
	} {
		if count := int(span / unit.length); count == 1 {
			return "1 " + unit.name
		} else if count > 1 {
			return fmt.Sprintf("%d %ss", count, unit.name)
		}
	}
	return "now"
}
