package e2e

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// host is what serves HTTP in front of the handlers.
type host string

const (
	serve   host = "serve"   // webhookctl serve: net/http
	gateway host = "gateway" // API Gateway HTTP API, or a stand-in that behaves like it
	sam     host = "sam"     // sam local start-api, which has bugs of its own
)

// keys are API keys. A key that was not passed is empty.
type keys struct {
	both, read, write string // of one company: with all permissions, with only webhooks:read, with only webhooks:write
	other             string // of another company, with all permissions
	publish, events   string // with only events:write, with only events:read
	platform          string // of the platform
	revoked, expired  string
	neverIssued       string // well-formed
}

func (k keys) all() []string {
	all := []string{k.both, k.read, k.write, k.other, k.publish, k.events, k.platform, k.revoked, k.expired, k.neverIssued}
	return slices.DeleteFunc(all, func(key string) bool { return key == "" })
}

// target is a running service.
type target struct {
	url      string // without a trailing slash
	host     host
	keys     keys
	receiver string   // an https URL whose certificate the service accepts
	quota    int      // 0 if not known
	own      *service // nil if the tests did not start it
	// authority is the name of a file with a certificate authority that the service trusts and its key. It is empty if the tests
	// cannot receive at the receiver's URL.
	authority string
}

const (
	referenceReceiver = "https://example.com/webhooks/billing"
	referenceEvent    = "RecurringPayments.charge.paid"
)

// targetFromEnvironment returns the target that WEBHOOKS_E2E_URL names, or the zero target if it is not set.
func targetFromEnvironment() (target, error) {
	get := func(name string) string { return os.Getenv("WEBHOOKS_E2E_" + name) }
	t := target{
		url:  strings.TrimRight(get("URL"), "/"),
		host: host(cmp.Or(get("HOST"), string(serve))),
		keys: keys{
			both: get("KEY"), read: get("READ_KEY"), write: get("WRITE_KEY"),
			other: get("OTHER_KEY"), revoked: get("REVOKED_KEY"), expired: get("EXPIRED_KEY"),
			publish: get("PUBLISH_KEY"), events: get("EVENTS_KEY"), platform: get("PLATFORM_KEY"),
		},
		receiver:  cmp.Or(get("RECEIVER"), referenceReceiver),
		authority: get("AUTHORITY"),
	}
	if t.url == "" {
		return target{}, nil
	}
	var err error
	t.quota, err = strconv.Atoi(cmp.Or(get("QUOTA"), "0"))
	switch {
	case t.keys.both == "":
		return t, fmt.Errorf("WEBHOOKS_E2E_KEY is not set: want an API key with all permissions")
	case !slices.Contains([]host{serve, gateway, sam}, t.host):
		return t, fmt.Errorf("WEBHOOKS_E2E_HOST is %q: want serve, gateway or sam", t.host)
	case !strings.HasPrefix(t.receiver, "https://") || strings.ContainsAny(t.receiver, "?#"):
		return t, fmt.Errorf("WEBHOOKS_E2E_RECEIVER is %q: want an https URL without a query", t.receiver)
	case t.authority != "" && !strings.Contains(strings.TrimPrefix(t.receiver, "https://"), ":"):
		return t, fmt.Errorf("WEBHOOKS_E2E_RECEIVER is %q: with WEBHOOKS_E2E_AUTHORITY, want a URL with a port to listen on", t.receiver)
	case err != nil || t.quota < 0 || t.quota > 2000:
		return t, fmt.Errorf("WEBHOOKS_E2E_QUOTA is %q: want the service's quota, at most 2000", get("QUOTA"))
	}
	return t, nil
}

// need returns an input of a test. Without it, the test is skipped, or fails if CI is set: in CI nothing may be left out.
func need(t *testing.T, value, variable string) string {
	t.Helper()
	if value == "" && os.Getenv("CI") != "" {
		t.Fatalf("%s is missing, and CI must not skip tests", variable)
	}
	if value == "" {
		t.Skipf("%s is missing", variable)
	}
	return value
}

// needOwn skips a test that uses the operator's commands, or receivers that fail in a known way, if the tests did not start the
// service.
func (s *suite) needOwn(t *testing.T) {
	t.Helper()
	if s.own == nil {
		t.Skip("only for a service that the tests start themselves")
	}
}

// needHost skips a test that only some hosts can run.
func (s *suite) needHost(t *testing.T, hosts ...host) {
	t.Helper()
	if len(hosts) > 0 && !slices.Contains(hosts, s.host) {
		t.Skipf("%s changes such requests or responds to them itself", s.host)
	}
}
