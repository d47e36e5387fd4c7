package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"webhooks/infra/webhookctl/redact"
	"webhooks/shared/webhook"
)

// errorLine is what a person sees of an error: one line, without anything that looks like a secret
// (an API key given where its id belongs, say).
func errorLine(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n") // errors.Join writes several
	text := strings.Join(strings.Fields(strings.Join(lines, "; ")), " ")
	return "webhookctl: " + redact.Secrets(text)
}

// usageError adds to a mistake on the command line where the help for it is.
func usageError(err error) error {
	command := "webhookctl"
	if e, ok := errors.AsType[*kong.ParseError](err); ok && e.Context != nil && e.Context.Selected() != nil {
		command = e.Context.Selected().FullPath()
	}
	return fmt.Errorf("%w: run %q for help", err, command+" --help")
}

// storeError is an error of the store for an operator, who is better told the cause than what a
// client of the API would be told.
func storeError(err error) error {
	e, ok := errors.AsType[*webhook.Error](err)
	switch {
	case !ok || e.Cause == nil:
		return err
	case e.Kind == webhook.KindUnavailable:
		return fmt.Errorf("the database does not answer, check that it runs and can be reached: %w", e.Cause)
	default:
		return e.Cause
	}
}
