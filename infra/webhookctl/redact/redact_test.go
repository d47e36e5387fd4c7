package redact

import "testing"

func TestSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"key_acme_01JZ, whk and whsec_":           "key_acme_01JZ, whk and whsec_",
		"Bearer whk_aaaabbbbcccc\n":               "Bearer whk_[redacted]\n",
		`whk_ab {"token":"whsec_c2VjcmV0+/c2U="}`: `whk_[redacted] {"token":"whsec_[redacted]"}`,
	} {
		if got := Secrets(text); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
