package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// answers tells in one line that the service is not there, or not with this key: every case would
// fail for it.
func (s *suite) answers(ctx context.Context) error {
	r, err := s.send(ctx, request{method: http.MethodGet, path: "/webhooks/types", key: s.keys.both})
	switch {
	case err != nil:
		return fmt.Errorf("the service does not answer: %w: start it (make run), or correct URL", err)
	case r.status == http.StatusNotFound:
		return fmt.Errorf("URL is not this service's: %s: name the one before /webhooks", r)
	}
	return s.admits(r)
}

// accepts creates a webhook and deletes it, and tells in one line why the service does not let it.
func (s *suite) accepts(ctx context.Context) error {
	r, err := s.send(ctx, s.creation(s.valid().body()))
	if err != nil {
		return fmt.Errorf("%s got no answer: %w", request{method: http.MethodPost, path: "/webhooks"}, err)
	}
	switch {
	case r.status == http.StatusCreated:
		return s.takeBack(ctx, r)
	case strings.HasPrefix(r.reason(), "TLS certificate validation failed"), strings.HasPrefix(r.reason(), "URL format invalid"):
		return fmt.Errorf("the service does not accept %s (%s): name a receiver that it can reach, "+
			"as in make e2e … RECEIVER=https://127.0.0.1:44745 (make run prints its own)", s.receiver, r.reason())
	case r.status == http.StatusConflict:
		return fmt.Errorf("KEY's company can have no more webhooks (%s): delete some, or name a key of another company", r.reason())
	}
	return s.admits(r)
}

// admits tells what is wrong with the key, or else with an answer that is no success.
func (s *suite) admits(r response) error {
	switch r.status {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized:
		return fmt.Errorf("KEY is not a key of this service (401), or was revoked or has expired: name one with webhooks:read and webhooks:write")
	case http.StatusForbidden:
		return fmt.Errorf("KEY may not do everything (403 %s): name one with webhooks:read and webhooks:write", r.reason())
	}
	return fmt.Errorf("the service is not ready: %s", r)
}

// takeBack deletes what was created to try it. Its token is kept: no log may hold it either.
func (s *suite) takeBack(ctx context.Context, created response) error {
	var made webhook
	if err := json.Unmarshal(created.body, &made); err != nil || made.ID == "" {
		return fmt.Errorf("URL is not this service's: POST /webhooks answered 201 without a webhook")
	}
	s.mu.Lock()
	s.tokens[made.ID] = made.Token
	s.mu.Unlock()
	r, err := s.send(ctx, request{method: http.MethodDelete, path: "/webhooks/" + made.ID, key: s.keys.both})
	if err == nil && r.status == http.StatusOK {
		return nil
	}
	if err == nil {
		err = errors.New(r.String())
	}
	return fmt.Errorf("the webhook %s, created to try RECEIVER, is left behind: %w", made.ID, err)
}

// reason is the message of an error, or the body of what is none, on one line.
func (r response) reason() string {
	var e struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(r.body, &e) == nil && e.Error != "" {
		return e.Error
	}
	return strings.Join(strings.Fields(string(r.body)), " ")
}

// testReady checks what the suite says, before it begins, of a service, key or receiver that it cannot be
// run with.
func testReady(t *testing.T, s *suite) {
	s.onlyOwn(t)
	const permissions = ": name one with webhooks:read and webhooks:write"
	const receiver = ": name a receiver that it can reach, as in make e2e … RECEIVER=https://127.0.0.1:44745 (make run prints its own)"
	const unknown = "KEY is not a key of this service (401), or was revoked or has expired" + permissions
	full := s.own.another(t, s, "--dev", "--tls-check", "off", "--quota", "1")
	full.event = referenceEvent
	for _, tt := range []struct {
		name   string
		change func(*target)
		// before and after are the line's begin and end; what is between is the system's.
		before, after string
	}{
		{"good", func(*target) {}, "", ""},
		{"no service", func(g *target) { g.url = strings.Replace(s.own.receivers.closed, "https:", "http:", 1) },
			"the service does not answer: Get ", ": start it (make run), or correct URL"},
		{"a folder too many", func(g *target) { g.url += "/v1" },
			"URL is not this service's: GET /webhooks/types answered 404 ", ": name the one before /webhooks"},
		{"a wrong key", func(g *target) { g.keys.both = s.keys.neverIssued }, unknown, ""},
		{"an expired key", func(g *target) { g.keys.both = s.keys.expired }, unknown, ""},
		{"a key that may not write", func(g *target) { g.keys.both = s.keys.read },
			"KEY may not do everything (403 ", permissions},
		{"a key that may not read", func(g *target) { g.keys.both = s.keys.write },
			"KEY may not do everything (403 ", permissions},
		{"a receiver out of reach", func(g *target) { g.receiver = s.own.receivers.closed },
			"the service does not accept " + s.own.receivers.closed + " (TLS certificate validation failed: the host could not be reached)", receiver},
		{"a receiver with no valid port", func(g *target) { g.receiver = "https://127.0.0.1:0/" },
			"the service does not accept https://127.0.0.1:0/ (URL format invalid: ", receiver},
	} {
		t.Run(tt.name, func(t *testing.T) { s.wantReady(t, tt.change, tt.before, tt.after) })
	}
	t.Run("the suite stops there", func(t *testing.T) {
		s.wantStop(t, variablePrefix+"KEY="+s.keys.neverIssued, unknown)
		s.wantStop(t, variablePrefix+"RECEIVER="+s.own.receivers.closed, "the service does not accept "+s.own.receivers.closed+
			" (TLS certificate validation failed: the host could not be reached)"+receiver)
	})
	t.Run("a full company", func(t *testing.T) {
		full.created(t, full.do(t, full.creation(full.valid().body())))
		full.wantReady(t, func(*target) {}, "KEY's company can have no more webhooks (The company has reached its quota of 1 webhooks.)",
			": delete some, or name a key of another company")
	})
}

// wantStop runs the suite as a person does against the target, with a setting that it cannot be run with, and expects that line and
// no other.
func (s *suite) wantStop(t *testing.T, setting, line string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), self, "-test.run", "^TestContract$")
	run.Env = append(s.own.environ(), "WEBHOOKS_E2E_URL="+s.url, "WEBHOOKS_E2E_KEY="+s.keys.both, "WEBHOOKS_E2E_RECEIVER="+s.receiver, setting)
	out, err := run.CombinedOutput()
	told := regexp.MustCompile(`(?m)^ +\w+\.go:\d+: (.*)$`).FindAllSubmatch(out, -1)
	if err == nil || len(told) != 1 || string(told[0][1]) != line {
		t.Errorf("with %s: %v\n%s\nwant nothing but %s", setting, err, out, line)
	}
}

// wantReady checks the line about a target that was changed, and that no webhook is left of asking.
func (s *suite) wantReady(t *testing.T, change func(*target), before, after string) {
	t.Helper()
	changed := newSuite(s.target)
	t.Cleanup(changed.http.CloseIdleConnections)
	changed.event = s.event
	change(&changed.target)
	had := s.count(t)
	err := changed.answers(t.Context())
	if err == nil {
		err = changed.accepts(t.Context())
	}
	line := ""
	if err != nil {
		line = err.Error()
	}
	if !strings.HasPrefix(line, before) || !strings.HasSuffix(line, after) || strings.Contains(line, "\n") || (line == "") != (before == "") {
		t.Errorf("got %q\nwant %q…%q", line, before, after)
	}
	if has := s.count(t); has != had {
		t.Errorf("the company has %d webhooks and had %d before", has, had)
	}
}
