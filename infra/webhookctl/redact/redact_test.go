package redact

import (
	"crypto/rand"
	"testing"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

func TestSecrets(t *testing.T) {
	key, err := access.NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	token, err := webhook.NewToken(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"none", "key_acme_01JZ is no key, whk and whsec_ are none", "key_acme_01JZ is no key, whk and whsec_ are none"},
		{"an API key", "Bearer " + key + "\n", "Bearer whk_(left out)\n"},
		{"a token", `{"token":"` + token + `"}`, `{"token":"whsec_(left out)"}`},
		{"both and again", key + " " + token + " " + key, "whk_(left out) whsec_(left out) whk_(left out)"},
		{"a part of one", "whk_ab", "whk_(left out)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Secrets(tt.text); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
