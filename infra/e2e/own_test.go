package e2e

import (
	"bytes"
	"crypto/rand"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const (
	mainCompany    = "e2e-main"
	otherCompany   = "e2e-other"
	revokedCompany = "e2e-revoked"

	allPermissions = "webhooks:read,webhooks:write"

	// ownQuota makes a full company a list of more than one page of 100.
	ownQuota = 105
)

// store is a database that webhookctl can keep everything in.
type store struct {
	name string
	// environment gives webhookctl's settings for an empty database.
	environment func(t *testing.T) []string
}

func ownStores() []store {
	return []store{
		{"sqlite", func(t *testing.T) []string {
			return []string{"WEBHOOKS_STORE=sqlite", "WEBHOOKS_DATA=" + t.TempDir()}
		}},
		{"dynamodb", func(t *testing.T) []string {
			endpoint := need(t, os.Getenv("WEBHOOKS_TEST_DYNAMODB_ENDPOINT"), "WEBHOOKS_TEST_DYNAMODB_ENDPOINT (the URL of DynamoDB Local)")
			return []string{
				"WEBHOOKS_STORE=dynamodb", "WEBHOOKS_DYNAMODB_ENDPOINT=" + endpoint,
				"WEBHOOKS_TABLE_PREFIX=e2e-" + rand.Text()[:10] + "-", "WEBHOOKS_DATA=" + t.TempDir(),
			}
		}},
	}
}

// buildWebhookctl builds the binary that is under test.
func buildWebhookctl(t *testing.T) string {
	t.Helper()
	readSources(t)
	binary := filepath.Join(t.TempDir(), "webhookctl")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "webhooks/infra/webhookctl").CombinedOutput(); err != nil {
		t.Fatalf("building webhookctl: %v\n%s", err, out)
	}
	return binary
}

// readSources looks into the folders that the binary is built from, because go test repeats a kept
// result until something changes that the test itself has read.
func readSources(t *testing.T) {
	t.Helper()
	for _, folder := range []string{"../../shared", "../webhookctl"} {
		if err := filepath.WalkDir(folder, func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
			t.Fatal(err)
		}
	}
}

// ownTarget is a service that the suite started, with its operator's commands.
type ownTarget struct {
	binary      string
	store       store
	environment []string
	receivers   *receivers
	process     *process
}

// startOwn starts a service on an empty database and makes the keys and types that the suite asks for.
func startOwn(t *testing.T, binary string, s store) target {
	t.Helper()
	own := newOwn(t, binary, s)
	own.receivers = startReceivers(t)
	own.addTypes(t, "", referenceEvent, "RecurringPayments.charge.failed")
	keys := keys{
		both:    own.createKey(t, mainCompany, allPermissions),
		read:    own.createKey(t, mainCompany, "webhooks:read"),
		write:   own.createKey(t, mainCompany, "webhooks:write"),
		other:   own.createKey(t, otherCompany, allPermissions),
		revoked: own.createKey(t, revokedCompany, allPermissions),
		expired: own.createKey(t, mainCompany, allPermissions, "--expires", "1ms"),
	}
	own.revokeKeys(t, revokedCompany)
	own.process = own.serve(t, "--quota", strconv.Itoa(ownQuota), "--ca-file", own.receivers.caFile, "--allow-network", own.receivers.allowed)
	return target{
		url: own.process.url, host: hostServe, keys: keys,
		receiver: own.receivers.good.url, quota: ownQuota, own: own,
	}
}

func newOwn(t *testing.T, binary string, s store) *ownTarget {
	t.Helper()
	own := &ownTarget{binary: binary, store: s, environment: s.environment(t)}
	own.command(t, "tables", "create")
	return own
}

// withoutTLSCheck starts another service on an empty database, which asks nothing of any host, and
// gives a suite for it.
func (o *ownTarget) withoutTLSCheck(t *testing.T, s *suite) *suite {
	t.Helper()
	return o.another(t, s, "--dev", "--tls-check", "off")
}

// another starts another service on an empty database, with flags, and gives a suite for it.
func (o *ownTarget) another(t *testing.T, s *suite, flags ...string) *suite {
	t.Helper()
	own := newOwn(t, o.binary, o.store)
	own.process = own.serve(t, flags...)
	other := newSuite(target{
		url: own.process.url, host: hostServe, receiver: referenceReceiver,
		keys: keys{both: own.createKey(t, mainCompany, allPermissions)},
	})
	t.Cleanup(other.http.CloseIdleConnections)
	other.descriptions = s.descriptions
	return other
}

// command runs a command of webhookctl and gives what it wrote to stdout.
func (o *ownTarget) command(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), o.binary, args...)
	command.Env = o.environ()
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("webhookctl %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// environ is this process's environment without settings that are not the suite's.
func (o *ownTarget) environ() []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "WEBHOOKS_") && !strings.HasPrefix(variable, "AWS_") && !strings.HasPrefix(variable, "SSL_CERT_") {
			kept = append(kept, variable)
		}
	}
	return append(kept, o.environment...)
}

func (o *ownTarget) createKey(t *testing.T, company, permissions string, more ...string) string {
	t.Helper()
	args := append([]string{"keys", "create", "--company", company, "--permissions", permissions}, more...)
	return strings.TrimSpace(o.command(t, args...))
}

// revokeKeys revokes all keys of a company.
func (o *ownTarget) revokeKeys(t *testing.T, company string) {
	t.Helper()
	for _, id := range regexp.MustCompile(`key_\w[\w-]*`).FindAllString(o.command(t, "keys", "list", "--company", company), -1) {
		o.command(t, "keys", "revoke", id)
	}
}

// addTypes adds types for a company, or for all of them when it is empty, in the order given.
func (o *ownTarget) addTypes(t *testing.T, company string, names ...string) {
	t.Helper()
	for _, name := range names {
		o.command(t, o.typeArguments("add", name, company)...)
	}
}

func (o *ownTarget) removeType(t *testing.T, company, name string) {
	t.Helper()
	o.command(t, o.typeArguments("remove", name, company)...)
}

func (o *ownTarget) typeArguments(command, name, company string) []string {
	args := []string{"types", command, name}
	if company != "" {
		args = append(args, "--company", company)
	}
	return args
}

// finish stops the service and checks what it left: no secret in its log, and no receiver that
// got more than a handshake.
func (o *ownTarget) finish(t *testing.T, secrets []string) {
	t.Helper()
	o.process.stop(t)
	for _, secret := range secrets {
		if strings.Contains(o.process.log.String(), secret) {
			t.Error("the log holds an API key, a token or a customer's URL")
		}
	}
	for _, r := range o.receivers.all() {
		if n := r.requests.Load(); n != 0 {
			t.Errorf("%s got %d HTTP requests, want none but the TLS handshake", r.url, n)
		}
	}
}
