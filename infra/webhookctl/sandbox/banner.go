package sandbox

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// WriteBanner writes what the sandbox consists of and commands for a POSIX shell or zsh that use the API
// at a URL. It shows the API key.
func (s *Sandbox) WriteBanner(out io.Writer, api string) error {
	authority := filepath.Join(s.dir, AuthorityFile)
	if path, err := filepath.Abs(authority); err == nil { // the commands work in any directory
		authority = path
	}
	const curl = `curl -sS -w '\n' -H "Authorization: Bearer $KEY"`
	_, err := fmt.Fprintf(out, `
The webhook API is running at %[1]s in development mode. Press Ctrl-C to stop it.

  API key   %[2]s
            for the company %[3]s, with all permissions; saved in %[4]s
  Receiver  %[5]s
            prints here what it receives, on any path; its port is saved in %[6]s
            (this version does not send events yet)

To send something to the receiver, list the event types, create a webhook, list the webhooks, get the
new one and delete it, paste these commands into another terminal, in this order:

API=%[1]s
KEY=%[2]s
curl --cacert %[7]s -d hello %[5]s
%[8]s "$API/webhooks/types"
ID=$(%[8]s "$API/webhooks" -d '{"webhook":{"name":"Billing Events","description":"Receive invoice and payment updates","url":"%[5]s/webhooks/billing","events":["RecurringPayments.charge.paid"]}}' | tee /dev/stderr | grep -o 'wh_[0-9A-Z]*')
%[8]s "$API/webhooks?size=10&page=1"
%[8]s "$API/webhooks/$ID"
%[8]s -X DELETE "$API/webhooks/$ID"

`, api, s.Key, Company, filepath.Join(s.dir, keyFile), s.ReceiverURL, filepath.Join(s.dir, portFile), quote(authority), curl)
	return err
}

// quote quotes text for a shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
