// Package baseurl says what a setting may name in place of an AWS service's own endpoint.
package baseurl

import (
	"net/url"
	"strings"
)

// Valid reports whether text is an http or https URL of scheme and host, with or without a port, and
// of nothing else: a service is called at the root of its endpoint, and credentials have settings of
// their own. An empty text is not valid.
func Valid(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.User == nil && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == ""
}
