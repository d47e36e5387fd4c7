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
	for text, want := range map[string]string{
		"key_acme_01JZ, whk and whsec_":    "key_acme_01JZ, whk and whsec_",
		"Bearer " + key + "\n":             "Bearer whk_[redacted]\n",
		key + ` {"token":"` + token + `"}`: `whk_[redacted] {"token":"whsec_[redacted]"}`,
		"part of one: whk_ab":              "part of one: whk_[redacted]",
	} {
		if got := Secrets(text); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
