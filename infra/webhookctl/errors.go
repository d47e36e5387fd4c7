package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"webhooks/infra/webhookctl/redact"
	"webhooks/shared/sqlite"
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
		err = withVariable(e)
	}
	return fmt.Errorf("%w: run %q for help", err, command+" --help")
}

// withVariable adds to a value that a flag cannot have the variable that it is from, as kong does to one
// that it cannot read.
func withVariable(e *kong.ParseError) error {
	given := map[*kong.Flag]bool{}
	for _, path := range e.Context.Path {
		given[path.Flag] = true
	}
	for _, flag := range e.Context.Flags() {
		if given[flag] || !strings.HasPrefix(e.Error(), flag.ShortSummary()+" must be one of ") {
			continue
		}
		for _, variable := range flag.Tag.Envs {
			if value, set := os.LookupEnv(variable); set {
				return fmt.Errorf("%w (from envar %s=%q)", e, variable, value)
			}
		}
	}
	return e
}

// storeError is an error of the store for an operator, who is better told the cause than what a
// client of the API would be told. A file is not reached or started like a server, so that of SQLite
// there are other things to do.
func storeError(err error) error {
	cause, unavailable := err, false
	if e, ok := errors.AsType[*webhook.Error](err); ok && e.Cause != nil {
		cause, unavailable = e.Cause, e.Kind == webhook.KindUnavailable
	}
	switch {
	case sqlite.IsFull(cause):
		return fmt.Errorf("there is no room on the disk: make some, then run this again: %w", cause)
	case sqlite.IsBusy(cause):
		return fmt.Errorf("another process is using the database file: run this again, or stop that: %w", cause)
	case sqlite.IsFailing(cause):
		return fmt.Errorf("the database file cannot be read or written: see whether its disk has room (df) and works (dmesg), and whether this user may write there: %w", cause)
	case unavailable:
		return fmt.Errorf("the database does not answer, check that it runs and can be reached: %w", cause)
	}
	return cause
}

// fileError is [storeError] of what failed with a database file that is there, perhaps since it, or its
// folder, is another user's.
func fileError(path string, err error) error {
	if isAnothers(path, err) {
		return fmt.Errorf("%s cannot be opened by this user: run this as its owner, which is the user that the service runs as (such as sudo -u webhooks webhookctl ...)", path)
	}
	return storeError(err)
}

// isAnothers reports whether err is that this user may not read and write the file, or may not change
// its mode, which its owner may.
func isAnothers(path string, err error) bool {
	if !errors.Is(err, fs.ErrPermission) && !sqlite.IsFailing(err) {
		return false
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok && e.Op == "chmod" {
		return true
	}
	const readAndWrite = 4 | 2 // R_OK | W_OK
	return errors.Is(syscall.Access(path, readAndWrite), fs.ErrPermission)
}
