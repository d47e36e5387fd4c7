// Package sandbox is what "webhookctl serve --dev" adds to the API, so that one machine is enough to
// try it: a company with an API key, event types, a certificate authority for loopback, a receiver over
// HTTPS that verifies and prints what it receives, and commands to begin with. Everything that has to survive a
// restart is in one directory.
package sandbox

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// Store is the part of a store that the sandbox needs.
type Store interface {
	CreateKey(ctx context.Context, key access.Key) error
	KeyByHash(ctx context.Context, hash access.Hash) (access.Key, error)
	AddEventType(ctx context.Context, t webhook.EventType) error
}

// Config configures a sandbox.
type Config struct {
	// Dir is the directory for what survives a restart. It is created with mode 0700.
	Dir string
	// Store is the API's store, with its tables.
	Store Store
	// Now is the clock.
	Now func() time.Time
	// Random is the source of keys and IDs: crypto/rand.Reader.
	Random io.Reader
	// Receiver is the sample receiver.
	Receiver *Receiver
	Log      *slog.Logger
}

// Sandbox is a started sandbox. Close stops it.
type Sandbox struct {
	// Key is the API key of [Company]. It has every permission and does not expire.
	Key string
	// Authority issued the receiver's certificate.
	Authority *Authority
	// ReceiverURL is the receiver's scheme, host and port, on 127.0.0.1. It accepts webhooks on any path.
	ReceiverURL string

	dir    string
	server *Server
}

// Networks returns the networks of the receiver: loopback, which webhooks otherwise cannot reach.
func Networks() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// Start reuses what exists, creates what is missing, and starts the receiver.
func Start(ctx context.Context, c Config) (*Sandbox, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the development directory: %w", err)
	}
	now := c.Now().UTC().Truncate(time.Millisecond) // as stores keep it
	authority, err := LoadOrCreateAuthority(c.Dir, now)
	if err != nil {
		return nil, err
	}
	if err := addEventTypes(ctx, c.Store, now); err != nil {
		return nil, err
	}
	key, err := c.loadOrCreateKey(ctx, now)
	if err != nil {
		return nil, fmt.Errorf("development API key: %w", err)
	}
	listener, err := listen(c.Dir, c.Log)
	if err != nil {
		return nil, fmt.Errorf("sample receiver: %w", err)
	}
	server, err := authority.Serve(listener, c.Receiver, c.Log)
	if err != nil {
		return nil, fmt.Errorf("sample receiver: %w", err)
	}
	return &Sandbox{Key: key, Authority: authority, ReceiverURL: server.URL, dir: c.Dir, server: server}, nil
}

// Close stops the receiver and waits until its port is free.
func (s *Sandbox) Close() error { return s.server.Close() }

// addEventTypes adds the two event types of the API reference for every company, in its order.
func addEventTypes(ctx context.Context, store Store, now time.Time) error {
	for i, name := range []string{"RecurringPayments.charge.paid", "RecurringPayments.charge.failed"} {
		// A millisecond apart, because types are listed by the time they were added.
		added := now.Add(time.Duration(i) * time.Millisecond)
		if err := store.AddEventType(ctx, webhook.EventType{Name: name, AddedAt: added}); err != nil {
			return fmt.Errorf("adding the event type %s: %w", name, err)
		}
	}
	return nil
}
