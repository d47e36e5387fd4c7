package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

// fakeClock is a time that tests move.
type fakeClock struct{ now time.Time }

func TestHealthAsksOnceASecond(t *testing.T) {
	clock := &fakeClock{time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	asked := 0
	var failure error
	var log bytes.Buffer
	h := &health{
		ping: func(context.Context) error { asked++; return failure },
		now:  func() time.Time { return clock.now },
		log:  slog.New(slog.NewTextHandler(&log, nil)),
	}
	steps := []struct {
		name    string
		wait    time.Duration
		failure error
		status  int
		asked   int
	}{
		{"first", 0, nil, 200, 1},
		{"soon after", healthTTL - 1, errors.New("gone"), 200, 1},
		{"a second later", 1, webhook.Unavailable(errors.New("gone")), 503, 2},
		{"soon after a failure", healthTTL / 2, nil, 503, 2},
		{"still failing", healthTTL, errors.New("gone"), 503, 3},
		{"back", healthTTL, nil, 200, 4},
	}
	for _, s := range steps {
		clock.now = clock.now.Add(s.wait)
		failure = s.failure
		status, body := h.respond(t.Context())
		if status != s.status || asked != s.asked || strings.Contains(fmt.Sprint(body), "gone") {
			t.Errorf("%s: got %d %v after %d questions, want %d after %d", s.name, status, body, asked, s.status, s.asked)
		}
	}
	if got := strings.Count(log.String(), "the store does not answer"); got != 1 {
		t.Errorf("the failure was logged %d times, want once:\n%s", got, &log)
	}
	if !strings.Contains(log.String(), "cause=gone") || !strings.Contains(log.String(), "the store answers again") {
		t.Errorf("logged:\n%s", &log)
	}
}

func TestHealthOutlivesItsClient(t *testing.T) {
	h := &health{ping: func(ctx context.Context) error { return ctx.Err() }, now: time.Now, log: slog.New(slog.DiscardHandler)}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if status, _ := h.respond(gone); status != 200 {
		t.Errorf("got %d: a client that went away counts as a failure of the store", status)
	}
}

func TestHealthGivesUp(t *testing.T) {
	h := &health{
		ping: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		now:  time.Now,
		log:  slog.New(slog.DiscardHandler),
	}
	var all sync.WaitGroup
	began := time.Now()
	for range 20 {
		all.Go(func() {
			if status, _ := h.respond(context.WithoutCancel(t.Context())); status != 503 {
				t.Errorf("got %d from a store that hangs, want 503", status)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took < pingTimeout || took > 3*pingTimeout {
		t.Errorf("20 clients waited %v, want them to share one wait of %v", took, pingTimeout)
	}
}
