package encrypt

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"holdfast/lab/k3s/internal/paths"
)

var moment = time.Date(2026, 11, 25, 18, 57, 40, 0, time.UTC)

func layout(t *testing.T) paths.Paths {
	t.Helper()
	p := paths.New(t.TempDir())
	if err := os.MkdirAll(p.Cred, 0o700); err != nil {
		t.Fatal(err)
	}
	return p
}

func statusText(t *testing.T, p paths.Paths, nodeHash, format string) string {
	t.Helper()
	found, err := inspect(p, nodeHash)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := printStatus(&out, p, found, format); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestNeverConfigured(t *testing.T) {
	p := layout(t)
	if got := statusText(t, p, "", "text"); got != "Encryption Status: Disabled, no configuration file found\n" {
		t.Errorf("got %q", got)
	}
	if got := statusText(t, p, "", "json"); got != "{\n\t\"stage\": \"\",\n\t\"activekey\": \"\"\n}\n" {
		t.Errorf("got %q", got)
	}
}

// The hash is the one that a real k3s computed for the same file.
func TestEnableThenStart(t *testing.T) {
	p := layout(t)
	if err := enable(p); err != nil {
		t.Fatal(err)
	}
	if _, err := inspect(p, ""); err == nil {
		t.Error("status before the restart must fail")
	}
	if err := enable(p); err == nil {
		t.Error("a second enable before the restart must fail")
	}
	if err := Prepare(p, moment); err != nil {
		t.Fatal(err)
	}
	want := "start-05fe294cff10f2045cff7afd247354853fece276f337121249cef1115b7d705d"
	if state, err := State(p); err != nil || state != want {
		t.Errorf("got %q, %v", state, err)
	}
	if got := statusText(t, p, want, "text"); got != "Encryption Status: Disabled\nCurrent Rotation Stage: start\nServer Encryption Hashes: All hashes match\n\n" {
		t.Errorf("got %q", got)
	}
}

func TestEncryptedFromTheStart(t *testing.T) {
	p := layout(t)
	if err := Prepare(p, moment); err != nil {
		t.Fatal(err)
	}
	state, err := State(p)
	if err != nil {
		t.Fatal(err)
	}
	text := statusText(t, p, state, "text")
	if !strings.Contains(text, "Encryption Status: Enabled\nCurrent Rotation Stage: start\n") ||
		!strings.Contains(text, " *      AES-CBC   aescbckey-2026-11-25T18:57:40Z\n") {
		t.Errorf("got %q", text)
	}
	if !strings.Contains(statusText(t, p, "other", "json"), `"hashmatch": false`) {
		t.Error("another node hash must not match")
	}
}

func TestDisableKeepsTheKeyReadable(t *testing.T) {
	p := layout(t)
	if err := Prepare(p, moment); err != nil {
		t.Fatal(err)
	}
	if err := disable(p); err != nil {
		t.Fatal(err)
	}
	config, err := readConfig(p)
	if err != nil {
		t.Fatal(err)
	}
	held, enabled := config.held()
	if len(held) != 1 || enabled || config.Resources[0].Providers[0].Identity == nil {
		t.Errorf("got %+v", config)
	}
	if err := enable(p); err != nil {
		t.Fatal(err)
	}
	config, err = readConfig(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, enabled := config.held(); !enabled {
		t.Error("the key is not in use again")
	}
}

func TestPrepareOnlyOnce(t *testing.T) {
	p := layout(t)
	if err := Prepare(p, moment); err != nil {
		t.Fatal(err)
	}
	if err := prepare(p, moment.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := prepare(p, moment.Add(time.Minute)); err == nil {
		t.Error("prepare in stage prepare must be refused")
	}
}

func TestUsesHash(t *testing.T) {
	line := `apiserver_encryption_config_controller_last_config_info{apiserver_id_hash="sha256:1",hash="sha256:abc"} 1`
	if !usesHash("# HELP x\n"+line+"\n", "abc") || usesHash(line, "abd") || usesHash(`other{hash="sha256:abc"} 1`, "abc") {
		t.Error("the metric is read wrongly")
	}
}

func TestRefusalHidesItsReason(t *testing.T) {
	if text := refusal(os.ErrNotExist).Error(); !strings.HasPrefix(text, "secret-encrypt error ID ") {
		t.Errorf("got %q", text)
	}
}
