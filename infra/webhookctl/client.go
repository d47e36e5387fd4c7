package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"webhooks/infra/webhookctl/client"
	"webhooks/infra/webhookctl/sandbox"
	"webhooks/shared/access"
)

// clientFlags select a running service and the API key to use.
type clientFlags struct {
	URL string  `name:"url" env:"WEBHOOKS_URL" default:"http://127.0.0.1:3000" help:"Base URL of the service."`
	Key *string `env:"WEBHOOKS_KEY" placeholder:"KEY" help:"API key (whk_...). Other users of this machine can see it as an argument, so prefer the variable. By default, with a --url on this machine, the key of \"serve --dev\" in --data."`
}

// open returns a client for the service.
func (f *clientFlags) open(storage *storageFlags) (*client.Client, error) {
	if err := validateEndpoint("--url", f.URL); err != nil {
		return nil, err
	}
	key, err := f.key(storage)
	if err != nil {
		return nil, err
	}
	return client.New(strings.TrimSuffix(f.URL, "/"), key), nil
}

// key returns the API key from the flag, or else the one of the development mode, which is never sent to another machine.
func (f *clientFlags) key(storage *storageFlags) (string, error) {
	if f.Key != nil {
		key := strings.TrimSpace(*f.Key)
		if _, err := access.HashSecret(key); err != nil {
			return "", fmt.Errorf("--key: %w", err)
		}
		return key, nil
	}
	path := filepath.Join(storage.devDir(), sandbox.KeyFile)
	if u, err := url.Parse(f.URL); err != nil || !isLoopbackAddr(u.Hostname()+":0") {
		return "", errors.New("no API key: pass --key or set WEBHOOKS_KEY")
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no API key: pass --key or set WEBHOOKS_KEY (there is no development key in %s)", path)
	}
	return strings.TrimSpace(string(text)), err
}

// withClient runs a command on a running service. A signal interrupts it.
func (f *clientFlags) withClient(ctx context.Context, storage *storageFlags, do func(ctx context.Context, api *client.Client) error) error {
	api, err := f.open(storage)
	if err != nil {
		return err
	}
	return untilSignal(ctx, func(ctx context.Context) error { return f.explained(do(ctx, api)) })
}

// explained adds the service's URL and status to an error that it returned, and advice if it rejected the API key.
func (f *clientFlags) explained(err error) error {
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		return err
	}
	advice := ""
	if e.Status == http.StatusUnauthorized {
		advice = " Check --key."
	}
	return fmt.Errorf("%s returned %d: %s%s", f.URL, e.Status, e.Message, advice)
}

// The parts of the API's responses that commands show as text. docs/api.md describes them.

type deliveryDocument struct {
	ID            string            `json:"id"`
	EventID       string            `json:"event_id"`
	WebhookID     string            `json:"webhook_id"`
	EventType     string            `json:"event_type"`
	Status        string            `json:"status"`
	CreatedAt     time.Time         `json:"created_at"`
	AttemptCount  int               `json:"attempt_count"`
	NextAttemptAt *time.Time        `json:"next_attempt_at"`
	LastAttempt   *attemptDocument  `json:"last_attempt"`
	Attempts      []attemptDocument `json:"attempts"`
}

type attemptDocument struct {
	Number     int       `json:"number"`
	At         time.Time `json:"at"`
	DurationMS int       `json:"duration_ms"`
	StatusCode int       `json:"status_code"`
	Error      string    `json:"error"`
	Response   string    `json:"response"`
}

type eventDocument struct {
	ID         string             `json:"id"`
	Key        string             `json:"key"`
	Type       string             `json:"type"`
	Timestamp  time.Time          `json:"timestamp"`
	AcceptedAt time.Time          `json:"accepted_at"`
	Data       json.RawMessage    `json:"data"`
	Deliveries []deliveryDocument `json:"deliveries"`
	Next       string             `json:"next"`
}

// decode decodes a response.
func decode(r client.Response, document any) error {
	if err := json.Unmarshal(r.Body, document); err != nil {
		return fmt.Errorf("cannot read the service's response: check that it has the same version as this command (\"webhookctl version\"): %w", err)
	}
	return nil
}
