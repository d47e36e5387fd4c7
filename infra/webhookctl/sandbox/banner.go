package sandbox

import (
	"fmt"
	"io"
	"path/filepath"
)

// WriteBanner describes the sandbox and writes commands for a POSIX shell or zsh that use the API at a URL. The text includes the
// API key.
func (s *Sandbox) WriteBanner(out io.Writer, api string) error {
	const curl = `curl -sS -w '\n' -H "Authorization: Bearer $KEY"`
	_, err := fmt.Fprintf(out, `
The webhook API is running at %[1]s in development mode. Press Ctrl-C to stop it.

  API key   %[2]s
            for the company %[3]s, with all permissions; saved in %[4]s
  Receiver  %[5]s
            prints here what it receives, on any path, and verifies the signatures;
            its port is saved in %[6]s

To list the event types, create a webhook, list the webhooks, get the new one, publish an event, list its deliveries,
and delete it, paste these commands into another terminal, in this order:

API=%[1]s
KEY=%[2]s
%[7]s "$API/webhooks/types"
ID=$(%[7]s "$API/webhooks" -d '{"webhook":{"name":"Billing Events","description":"Receive invoice and payment updates","url":"%[5]s/webhooks/billing","events":["RecurringPayments.charge.paid"]}}' | tee /dev/stderr | grep -o 'wh_[0-9A-Z]*')
%[7]s "$API/webhooks?size=10&page=1"
%[7]s "$API/webhooks/$ID"
%[7]s "$API/events" -d '{"event":{"type":"RecurringPayments.charge.paid","data":{"amount":1250,"currency":"EUR"}}}'
sleep 1
%[7]s "$API/webhooks/$ID/deliveries"
%[7]s -X DELETE "$API/webhooks/$ID"

`, api, s.Key, Company, filepath.Join(s.dir, KeyFile), s.ReceiverURL, filepath.Join(s.dir, portFile), curl)
	return err
}
