package token

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

var (
	getOptions    = metav1.GetOptions{}
	updateOptions = metav1.UpdateOptions{}
)

func TestGeneratedTokensAreWellFormed(t *testing.T) {
	for range 20 {
		made, err := Generate()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := split(made); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "abcdef", "ABCDEF.0123456789abcdef", "abcdef.short"} {
		if _, _, err := split(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestCreateListDelete(t *testing.T) {
	client, ctx := fake.NewClientset(), context.Background()
	wanted := request{token: "abcdef.0123456789abcdef", groups: []string{defaultGroup}, usages: []string{"signing", "authentication"}, lifetime: time.Hour}
	if _, err := create(ctx, client, wanted); err != nil {
		t.Fatal(err)
	}
	secret, err := client.CoreV1().Secrets("kube-system").Get(ctx, prefix+"abcdef", getOptions)
	if err != nil {
		t.Fatal(err)
	}
	secret.Data = map[string][]byte{}
	for key, value := range secret.StringData { // what a real API server does
		secret.Data[key] = []byte(value)
	}
	if _, err := client.CoreV1().Secrets("kube-system").Update(ctx, secret, updateOptions); err != nil {
		t.Fatal(err)
	}
	entries, err := list(ctx, client)
	if err != nil || len(entries) != 1 {
		t.Fatalf("got %v, %v", entries, err)
	}
	var text, json bytes.Buffer
	if err := printList(&text, entries, "text"); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(strings.Split(text.String(), "\n")[1], "abcdef    59m       ") {
		t.Errorf("got %q", text.String())
	}
	if err := printList(&json, entries, "json"); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(json.String(), `[{"token":{},"expires":"`) || strings.Contains(json.String(), "0123456789abcdef") {
		t.Errorf("got %q", json.String())
	}
	var out bytes.Buffer
	if err := remove(ctx, client, []string{"abcdef"}, &out); err != nil || out.String() != "bootstrap token \"abcdef\" deleted\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	err = remove(ctx, client, []string{"nosuch"}, &out)
	if err == nil || !strings.HasPrefix(err.Error(), `failed to delete bootstrap token "nosuch": secrets "bootstrap-token-nosuch" not found`) {
		t.Errorf("got %v", err)
	}
}

func TestEmptyListIsTheHeader(t *testing.T) {
	var out bytes.Buffer
	if err := printList(&out, nil, "text"); err != nil {
		t.Fatal(err)
	}
	if out.String() != "TOKEN     TTL       EXPIRES   USAGES    DESCRIPTION   EXTRA GROUPS\n" {
		t.Errorf("got %q", out.String())
	}
}

func TestRotateWarnsFirst(t *testing.T) {
	var asked string
	cluster := Cluster{Rotate: func(_ context.Context, _, replacement string) error {
		asked = replacement
		return nil
	}}
	var out bytes.Buffer
	if err := Command(cluster, "rotate", []string{"--new-token", "fresh"}, &out); err != nil || asked != "fresh" {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "\033[33mWARNING\033[0m: Recommended to keep") || !strings.HasSuffix(out.String(), "\nToken rotated, restart k3s nodes with new token\n") {
		t.Errorf("got %q", out.String())
	}
	if err := Command(cluster, "rotate", []string{"--new-token", "a:b"}, &out); err == nil {
		t.Error("a token with a colon was accepted")
	}
}
