package api

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/webhook"
)

func wantTooMany(t *testing.T, err error, message string, wait time.Duration) {
	t.Helper()
	want := &webhook.Error{Kind: webhook.KindTooMany, Message: message, RetryAfter: wait}
	if got, ok := errors.AsType[*webhook.Error](err); !ok || *got != *want {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestLimits(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l := NewLimits(100)
	for range 200 {
		if err := l.enter("acme", false, now); err != nil {
			t.Fatal(err)
		}
		l.leave("acme", false)
	}
	const rateMessage = "The company has sent more than 100 requests per second."
	for range 2 { // a rejected request costs nothing
		wantTooMany(t, l.enter("acme", false, now), rateMessage, 10*time.Millisecond)
	}
	if err := l.enter("other", false, now); err != nil {
		t.Errorf("another company: %v", err)
	}
	now = now.Add(10 * time.Millisecond)
	if err := l.enter("acme", false, now); err != nil {
		t.Errorf("10 ms later: %v", err)
	}
	for _, late := range []time.Duration{0, time.Second, 0} { // requests do not enter in the order in which they began
		wantTooMany(t, l.enter("acme", false, now.Add(-late)), rateMessage, 10*time.Millisecond)
	}

	for _, l := range []*Limits{NewLimits(0), NewLimits(1000)} {
		for range maxInFlight {
			if err := l.enter("acme", false, now); err != nil {
				t.Fatal(err)
			}
		}
		wantTooMany(t, l.enter("acme", false, now), "The company already has 64 requests in progress. Wait for their responses.", time.Second)
		l.leave("acme", false)
		if err := l.enter("acme", false, now); err != nil {
			t.Errorf("after a response: %v", err)
		}
	}
}

// Requests with large bodies leave room for others.
func TestLimitsOfLargeBodies(t *testing.T) {
	l, now := NewLimits(0), time.Now()
	for range maxLargeInFlight {
		if err := l.enter("", true, now); err != nil {
			t.Fatal(err)
		}
	}
	wantTooMany(t, l.enter("", true, now), "The platform already has 16 requests with large bodies in progress. Wait for their responses.", time.Second)
	for _, large := range []bool{false, true} {
		if err := l.enter("", large, now); err != nil {
			t.Errorf("large %v: %v", large, err)
		}
		l.leave("", true)
	}
}

func TestLimitsForgetIdleCompanies(t *testing.T) {
	l := NewLimits(100)
	if err := l.enter("busy", false, time.Now()); err != nil {
		t.Fatal(err)
	}
	for i := range maxIdleCompanies {
		if err := l.enter(fmt.Sprint(i), false, time.Now()); err != nil {
			t.Fatal(err)
		}
		l.leave(fmt.Sprint(i), false)
	}
	if len(l.companies) > maxIdleCompanies/2 || l.companies["busy"].inFlight != 1 {
		t.Errorf("%d companies are remembered, and %+v", len(l.companies), l.companies["busy"])
	}
}

// Refused requests cannot fill the disk.
func TestRefusedLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written bytes.Buffer
		log := slog.New(slog.NewTextHandler(&written, nil))
		l, logged := NewLimits(100), 0
		for range 1000 {
			if l.logs(log, time.Now()) {
				logged++
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !l.logs(log, time.Now()) {
			t.Error("nothing is logged a second later")
		}
		if logged != maxRefusedLines || strings.Count(written.String(), "\n") != 1 || !strings.Contains(written.String(), "count=990") {
			t.Errorf("%d lines, and then %q", logged, &written)
		}
	})
}
