package encrypt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"holdfast/lab/k3s/internal/paths"
)

// status is what `secrets-encrypt status -o json` prints.
type status struct {
	Stage        string   `json:"stage"`
	ActiveKey    string   `json:"activekey"`
	Enable       *bool    `json:"enable,omitempty"`
	HashMatch    *bool    `json:"hashmatch,omitempty"`
	InactiveKeys []string `json:"inactivekeys,omitempty"`
}

const keyType = "AES-CBC"

// inspect compares the state on disk with nodeHash, the annotation of this node.
func inspect(p paths.Paths, nodeHash string) (status, error) {
	if _, err := os.Stat(p.EncryptionConfig); errors.Is(err, os.ErrNotExist) {
		return status{}, nil
	}
	config, err := readConfig(p)
	if err != nil {
		return status{}, err
	}
	state, err := State(p)
	if err != nil {
		return status{}, err // configured, but the server has not been restarted with it
	}
	held, enabled := config.held()
	match := state == nodeHash
	found := status{Stage: stageOf(state), Enable: &enabled, HashMatch: &match}
	for position, one := range held {
		name := keyType + " " + one.Name
		if position == 0 && enabled {
			found.ActiveKey = name
		} else {
			found.InactiveKeys = append(found.InactiveKeys, name)
		}
	}
	return found, nil
}

func printStatus(out io.Writer, p paths.Paths, found status, format string) error {
	if format == "json" {
		content, err := json.MarshalIndent(found, "", "\t")
		if err == nil {
			_, err = fmt.Fprintln(out, string(content))
		}
		return err
	}
	if found.Enable == nil {
		_, err := fmt.Fprintln(out, "Encryption Status: Disabled, no configuration file found")
		return err
	}
	word, hashes := "Disabled", "hash does not match between "+p.EncryptionConfig+" and the node"
	if *found.Enable {
		word = "Enabled"
	}
	if *found.HashMatch {
		hashes = "All hashes match"
	}
	fmt.Fprintf(out, "Encryption Status: %s\nCurrent Rotation Stage: %s\nServer Encryption Hashes: %s\n\n", word, found.Stage, hashes)
	return printKeys(out, p)
}

func printKeys(out io.Writer, p paths.Paths) error {
	config, err := readConfig(p)
	if err != nil {
		return err
	}
	held, enabled := config.held()
	if len(held) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "Active\tKey Type\tName\n------\t--------\t----\n")
	for position, one := range held {
		mark := " "
		if position == 0 && enabled {
			mark = " *"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", mark, keyType, one.Name)
	}
	fmt.Fprintln(table)
	return table.Flush()
}
