package main

import (
	"io"
	"log/slog"
	"time"
)

// console is what a command has of the world around it, besides its flags and the store.
type console struct {
	out io.Writer // results, for people and scripts
	err io.Writer // notes, for people
	now func() time.Time
	// random is the source of keys and ids.
	random io.Reader
	log    *slog.Logger
}

// present is the time to store: UTC, in milliseconds.
func (c *console) present() time.Time { return c.now().UTC().Truncate(time.Millisecond) }
