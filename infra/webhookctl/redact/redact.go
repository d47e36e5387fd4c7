// Package redact keeps the service's secrets out of text for people.
package redact

import "regexp"

// Secrets replaces whatever looks like an API key or a webhook token in text. The prefix, which shows
// what it was, stays.
func Secrets(text string) string {
	return regexp.MustCompile(`(whk|whsec)_[A-Za-z0-9+/=]+`).ReplaceAllString(text, "${1}_[redacted]")
}
