// Package token is `k3s token`: bootstrap tokens for joining nodes, and rotation of the server's own token.
package token

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

const (
	prefix       = "bootstrap-token-"
	alphabet     = "abcdefghijklmnopqrstuvwxyz0123456789"
	idLength     = 6
	secretLength = 16
	defaultGroup = "system:bootstrappers:k3s:default-node-token"
)

// Generate makes a bootstrap token, "<id>.<secret>".
func Generate() (string, error) {
	id, err := randomText(idLength)
	if err != nil {
		return "", err
	}
	secret, err := randomText(secretLength)
	return id + "." + secret, err
}

func randomText(length int) (string, error) {
	text := make([]byte, length)
	for index := range text {
		position, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			return "", err
		}
		text[index] = alphabet[position.Int64()]
	}
	return string(text), nil
}

// split checks a token and gives its two parts.
func split(token string) (id, secret string, err error) {
	id, secret, found := strings.Cut(token, ".")
	if !found || !consistsOf(id, idLength) || !consistsOf(secret, secretLength) {
		return "", "", fmt.Errorf("the bootstrap token %q was not of the form \"%s\"", token, `\A([a-z0-9]{6})\.([a-z0-9]{16})\z`)
	}
	return id, secret, nil
}

func consistsOf(text string, length int) bool {
	return len(text) == length && strings.Trim(text, alphabet) == ""
}

// request describes a token to be made.
type request struct {
	token       string // made up when empty
	description string
	groups      []string
	usages      []string
	lifetime    time.Duration // 0: for ever
}

func create(ctx context.Context, client kubernetes.Interface, wanted request) (string, error) {
	if wanted.token == "" {
		made, err := Generate()
		if err != nil {
			return "", err
		}
		wanted.token = made
	}
	id, secret, err := split(wanted.token)
	if err != nil {
		return "", err
	}
	data := map[string]string{
		"token-id": id, "token-secret": secret, "auth-extra-groups": strings.Join(wanted.groups, ","),
	}
	for _, usage := range wanted.usages {
		data["usage-bootstrap-"+usage] = "true"
	}
	if wanted.description != "" {
		data["description"] = wanted.description
	}
	if wanted.lifetime > 0 {
		data["expiration"] = time.Now().Add(wanted.lifetime).UTC().Format(time.RFC3339)
	}
	_, err = client.CoreV1().Secrets(metav1.NamespaceSystem).Create(ctx, &core.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: prefix + id, Namespace: metav1.NamespaceSystem},
		Type:       core.SecretTypeBootstrapToken, StringData: data,
	}, metav1.CreateOptions{})
	return wanted.token, err
}

func remove(ctx context.Context, client kubernetes.Interface, ids []string, out io.Writer) error {
	if len(ids) == 0 {
		return errors.New("missing argument; 'token delete' is missing token")
	}
	for _, given := range ids {
		id, _, _ := strings.Cut(given, ".")
		if err := client.CoreV1().Secrets(metav1.NamespaceSystem).Delete(ctx, prefix+id, metav1.DeleteOptions{}); err != nil {
			return fmt.Errorf("failed to delete bootstrap token %q: %w", id, err)
		}
		fmt.Fprintf(out, "bootstrap token %q deleted\n", id)
	}
	return nil
}

// entry is a token as listed: never with its secret.
type entry struct {
	Token       struct{}     `json:"token"`
	Description string       `json:"description,omitempty"`
	Expires     *metav1.Time `json:"expires,omitempty"`
	Usages      []string     `json:"usages,omitempty"`
	Groups      []string     `json:"groups,omitempty"`

	id string
}

func list(ctx context.Context, client kubernetes.Interface) ([]entry, error) {
	found, err := client.CoreV1().Secrets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{
		FieldSelector: "type=" + string(core.SecretTypeBootstrapToken),
	})
	if err != nil {
		return nil, fmt.Errorf("failed to list bootstrap tokens: %w", err)
	}
	entries := []entry{}
	for _, secret := range found.Items {
		one := entry{id: string(secret.Data["token-id"]), Description: string(secret.Data["description"])}
		if expires, err := time.Parse(time.RFC3339, string(secret.Data["expiration"])); err == nil {
			one.Expires = &metav1.Time{Time: expires}
		}
		for key, value := range secret.Data {
			if usage, is := strings.CutPrefix(key, "usage-bootstrap-"); is && string(value) == "true" {
				one.Usages = append(one.Usages, usage)
			}
		}
		sort.Strings(one.Usages)
		if groups := string(secret.Data["auth-extra-groups"]); groups != "" {
			one.Groups = strings.Split(groups, ",")
		}
		entries = append(entries, one)
	}
	return entries, nil
}

func printList(out io.Writer, entries []entry, format string) error {
	switch format {
	case "json":
		return json.NewEncoder(out).Encode(entries)
	case "yaml":
		text, err := yaml.Marshal(entries)
		if err == nil {
			_, err = out.Write(text)
		}
		return err
	}
	table := tabwriter.NewWriter(out, 10, 4, 3, ' ', 0)
	fmt.Fprintln(table, "TOKEN\tTTL\tEXPIRES\tUSAGES\tDESCRIPTION\tEXTRA GROUPS")
	for _, one := range entries {
		remaining, expires := "<forever>", "<never>"
		if one.Expires != nil {
			remaining = duration.ShortHumanDuration(time.Until(one.Expires.Time))
			expires = one.Expires.Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", one.id, remaining, expires, joined(one.Usages), joined([]string{one.Description}), joined(one.Groups))
	}
	return table.Flush()
}

func joined(parts []string) string {
	if text := strings.Join(parts, ","); text != "" {
		return text
	}
	return "<none>"
}
