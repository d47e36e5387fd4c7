package sandbox

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// Call is one curl line, with what it shows.
type Call struct {
	Title string // without quotes
	Line  string // for a POSIX shell
}

// Calls gives a curl line for each endpoint of the API at a URL, to be pasted in this order into
// one shell: that which creates a webhook keeps its id in $ID for the ones after it.
func (s *Sandbox) Calls(api string) []Call {
	curl := "curl -sS -w '\\n' -H 'Authorization: Bearer " + s.Key + "' "
	body := `{"webhook":{"name":"Billing Events","description":"Receive invoice and payment updates",` +
		`"url":"` + s.ReceiverURL + `/webhooks/billing","events":["RecurringPayments.charge.paid"]}}`
	create := curl + "-d '" + body + "' '" + api + "/webhooks'"
	return []Call{
		{"List the supported webhook types", curl + "'" + api + "/webhooks/types'"},
		{"Create a webhook, and keep its id", "ID=$(" + create + " | tee /dev/stderr | grep -o 'wh_[0-9A-Z]*')"},
		{"List webhooks", curl + "'" + api + "/webhooks?size=10&page=1'"},
		{"Get the webhook", curl + `"` + api + `/webhooks/$ID"`},
		{"Delete the webhook", curl + `-X DELETE "` + api + `/webhooks/$ID"`},
	}
}

// tryReceiver gives a line for a POSIX shell, in any folder, that has something arrive.
func (s *Sandbox) tryReceiver() string {
	authority := filepath.Join(s.dir, AuthorityFile)
	if path, err := filepath.Abs(authority); err == nil {
		authority = path
	}
	return "curl --cacert '" + strings.ReplaceAll(authority, "'", `'\''`) + "' -d hello " + s.ReceiverURL + "/"
}

// WriteBanner tells a person what there is and what to do first. It shows the API key.
func (s *Sandbox) WriteBanner(out io.Writer, api string) error {
	var text strings.Builder
	fmt.Fprintf(&text, `
The webhook API is ready at %s (development, this machine only; Ctrl-C ends it).

  API key   %s
            company %q, all permissions, kept in %s
  Receiver  %s
            shows here what arrives, at any path; nothing is sent in this version yet; try it:
            %s

Paste into a shell, in this order:
`, api, s.Key, Company, filepath.Join(s.dir, keyFile), s.ReceiverURL, s.tryReceiver())
	// A title is an argument of the command that does nothing: zsh takes no comments where it is typed at.
	for _, call := range s.Calls(api) {
		fmt.Fprintf(&text, "\n: '%s'\n%s\n", call.Title, call.Line)
	}
	text.WriteString("\n")
	_, err := io.WriteString(out, text.String())
	return err
}
