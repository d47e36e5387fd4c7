package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"webhooks/infra/webhookctl/redact"
	"webhooks/shared/sqlite"
	"webhooks/shared/webhook"
)

// errorLine returns an error as one line for people. It removes whatever looks like a secret, for
// example an API key that was passed instead of its ID.
func errorLine(err error) string {
	text := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ") // errors.Join writes several lines
	text = strings.Join(strings.Fields(text), " ")
	return "webhookctl: " + redact.Secrets(text)
}

// storeError describes an error of the store for an operator: its cause, instead of what the API tells
// its clients, and what to do about it.
func storeError(err error) error {
	cause, unavailable := err, false
	if e, ok := errors.AsType[*webhook.Error](err); ok && e.Cause != nil {
		cause, unavailable = e.Cause, e.Kind == webhook.KindUnavailable
	}
	switch {
	case sqlite.IsFull(cause):
		return fmt.Errorf("the disk is full: free some space and run this again: %w", cause)
	case sqlite.IsLocked(cause):
		return fmt.Errorf("%w: run this again, or stop that process", cause)
	case sqlite.IsFailing(cause):
		return fmt.Errorf("the database file cannot be read or written: check free space (df), the disk (dmesg) and this user's permissions: %w", cause)
	case unavailable:
		return fmt.Errorf("the database does not respond: check that it is running and can be reached: %w", cause)
	}
	return cause
}

// fileError is [storeError] for an existing database file. The file or its directory may belong to
// another user.
func fileError(path string, err error) error {
	if isPermissionError(path, err) {
		return fmt.Errorf("this user cannot read and write %s: check its mode, and run this as its owner, the user that the service runs as (for example sudo -u webhooks webhookctl ...)", path)
	}
	return storeError(err)
}

// isPermissionError reports whether err means that this user may not read and write the file, or not
// change its mode, which only its owner may.
func isPermissionError(path string, err error) bool {
	if !errors.Is(err, fs.ErrPermission) && !sqlite.IsFailing(err) {
		return false
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok && e.Op == "chmod" && filepath.Base(e.Path) == filepath.Base(path) {
		return true
	}
	const readAndWrite = 4 | 2 // R_OK | W_OK
	return errors.Is(syscall.Access(path, readAndWrite), fs.ErrPermission)
}
