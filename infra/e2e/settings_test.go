package e2e

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
)

// host is who answers the requests that no route of the service takes, and what can reach a route.
type host string

const (
	hostServe   host = "serve"   // webhookctl serve: net/http
	hostGateway host = "gateway" // API Gateway HTTP API, or a stand-in that behaves as it does
	hostSAM     host = "sam"     // sam local start-api, which has faults of its own
)

// keys are API keys; one that is empty was not given.
type keys struct {
	both        string // webhooks:read and webhooks:write
	read        string // the same company, webhooks:read alone
	write       string // the same company, webhooks:write alone
	other       string // another company without webhooks, both permissions
	revoked     string
	expired     string
	neverIssued string // well formed, never issued
}

// all gives the keys that there are.
func (k keys) all() []string {
	var given []string
	for _, key := range []string{k.both, k.read, k.write, k.other, k.revoked, k.expired, k.neverIssued} {
		if key != "" {
			given = append(given, key)
		}
	}
	return given
}

// target is a running service and what the suite needs to know of it.
type target struct {
	url  string // without a trailing slash
	host host
	keys keys
	// receiver is an https URL without query whose certificate the target accepts.
	receiver string
	// quota is how many webhooks a company may have, 0 for unknown.
	quota int
	// own is what the suite can do to a target that it started itself, else nil.
	own *ownTarget
}

const referenceReceiver = "https://example.com/webhooks/billing"

// variablePrefix is what the names of the settings begin with; the rest is what `make e2e` calls them.
const variablePrefix = "WEBHOOKS_E2E_"

// maxQuota is the most webhooks that the suite makes to fill a company.
const maxQuota = 2000

// targetFromEnvironment gives the target that WEBHOOKS_E2E_URL names, or false without one.
func targetFromEnvironment() (target, bool, error) {
	address := strings.TrimRight(os.Getenv("WEBHOOKS_E2E_URL"), "/")
	if address == "" {
		return target{}, false, nil
	}
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return target{}, false, fmt.Errorf("WEBHOOKS_E2E_URL is no http or https URL: set it to such as http://127.0.0.1:3000")
	}
	t := target{
		url:  address,
		host: host(cmp.Or(os.Getenv("WEBHOOKS_E2E_HOST"), string(hostServe))),
		keys: keys{
			both:    os.Getenv("WEBHOOKS_E2E_KEY"),
			read:    os.Getenv("WEBHOOKS_E2E_READ_KEY"),
			write:   os.Getenv("WEBHOOKS_E2E_WRITE_KEY"),
			other:   os.Getenv("WEBHOOKS_E2E_OTHER_KEY"),
			revoked: os.Getenv("WEBHOOKS_E2E_REVOKED_KEY"),
			expired: os.Getenv("WEBHOOKS_E2E_EXPIRED_KEY"),
		},
		receiver: cmp.Or(os.Getenv("WEBHOOKS_E2E_RECEIVER"), referenceReceiver),
	}
	if t.keys.both == "" {
		return target{}, false, fmt.Errorf("WEBHOOKS_E2E_KEY is not set: set it to an API key with both permissions")
	}
	if t.host != hostServe && t.host != hostGateway && t.host != hostSAM {
		return target{}, false, fmt.Errorf("WEBHOOKS_E2E_HOST is %q: set it to serve, gateway or sam", t.host)
	}
	if !strings.HasPrefix(t.receiver, "https://") || strings.ContainsAny(t.receiver, "?#") {
		return target{}, false, fmt.Errorf("WEBHOOKS_E2E_RECEIVER is no https URL without query: set it to such as %s", referenceReceiver)
	}
	var err error
	t.quota, err = quotaFromEnvironment()
	return t, true, err
}

func quotaFromEnvironment() (int, error) {
	text := os.Getenv("WEBHOOKS_E2E_QUOTA")
	if text == "" {
		return 0, nil
	}
	quota, err := strconv.Atoi(text)
	if err != nil || quota < 1 || quota > maxQuota {
		return 0, fmt.Errorf("WEBHOOKS_E2E_QUOTA is %q: set it to the service's quota, 1 to %d, or leave it out", text, maxQuota)
	}
	return quota, nil
}

// missing skips a case that lacks an input; in CI, where nothing may be left out, it fails.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	reason := subjectOf(t) + ": " + fmt.Sprintf(format, args...)
	if os.Getenv("CI") != "" {
		t.Fatalf("nothing may be left out in CI: %s", reason)
	}
	t.Skip(reason)
}

// need gives the value of an input, and leaves the case out where it is empty.
func need(t *testing.T, value, variable string) string {
	t.Helper()
	if value == "" {
		missing(t, "set %s", setting(variable))
	}
	return value
}

// setting names a variable, and what `make e2e` calls it.
func setting(variable string) string {
	if name, ok := strings.CutPrefix(variable, variablePrefix); ok {
		return fmt.Sprintf("%s (make e2e %s=…)", variable, name)
	}
	return variable
}

// subjectOf is what a test of the suite is about, so that the reasons of what was left out tell it.
func subjectOf(t *testing.T) string {
	parts := strings.SplitN(t.Name(), "/", 3)
	return parts[min(1, len(parts)-1)]
}

// onlyOn leaves a case out, in CI too, where the target's host cannot show it.
func (s *suite) onlyOn(t *testing.T, reason string, hosts ...host) {
	t.Helper()
	for _, h := range hosts {
		if s.host == h {
			return
		}
	}
	t.Skipf("%s: not asserted on %s: %s", subjectOf(t), s.host, reason)
}

// onlyOwn leaves a case out, in CI too, where the caller gave the target: it needs the operator's
// commands or receivers that fail in a known way.
func (s *suite) onlyOwn(t *testing.T) {
	t.Helper()
	if s.own == nil {
		t.Skipf("%s: for a service that the tests start themselves, as make test has them do", subjectOf(t))
	}
}
