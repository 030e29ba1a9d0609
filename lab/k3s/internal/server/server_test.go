package server

import (
	"reflect"
	"testing"
)

func TestPassword(t *testing.T) {
	for token, want := range map[string]string{
		"plain": "plain", "K10abc::server:secret": "secret", "K10abc::id.secret": "id.secret", "K10 is no prefix alone": "K10 is no prefix alone",
	} {
		if got := Password(token); got != want {
			t.Errorf("Password(%q) = %q, want %q", token, got, want)
		}
	}
}

func TestRenderFlags(t *testing.T) {
	defaults := map[string]string{"b": "1", "plugins": "Node", "gone": "x"}
	given := []string{"plugins+=Rate", "gone-=", "b=2", "new=3", "many=1", "many=2"}
	want := []string{"--b=2", "--many=1", "--many=2", "--new=3", "--plugins=Rate,Node"}
	if got := renderFlags(defaults, given); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNodePasswordHash(t *testing.T) {
	hash, err := hashPassword("right")
	if err != nil {
		t.Fatal(err)
	}
	if err := verifyPassword(hash, "right"); err != nil {
		t.Error(err)
	}
	if err := verifyPassword(hash, "wrong"); err == nil || err.Error() != "hash does not match" {
		t.Errorf("wrong password: %v", err)
	}
}
