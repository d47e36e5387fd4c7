// Package redact keeps the service's secrets out of what people are shown.
package redact

import "regexp"

// Secrets leaves out of text whatever looks like an API key or a webhook's token; what kind it was
// stays to be seen.
func Secrets(text string) string {
	return regexp.MustCompile(`(whk|whsec)_[A-Za-z0-9+/=]+`).ReplaceAllString(text, "${1}_(left out)")
}
