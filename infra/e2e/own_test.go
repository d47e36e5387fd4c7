package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"webhooks/shared/access"
)

const (
	mainCompany    = "e2e-main"
	otherCompany   = "e2e-other"
	revokedCompany = "e2e-revoked"

	allPermissions = "webhooks:read,webhooks:write"

	// ownQuota makes a full company a list of more than one page of 100.
	ownQuota = 105

	startTimeout = 30 * time.Second
	stopTimeout  = 35 * time.Second
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
	binary := filepath.Join(t.TempDir(), "webhookctl")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "webhooks/infra/webhookctl").CombinedOutput(); err != nil {
		t.Fatalf("building webhookctl: %v\n%s", err, out)
	}
	return binary
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
	noIssued, err := access.NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := keys{
		both:     own.createKey(t, mainCompany, allPermissions),
		read:     own.createKey(t, mainCompany, "webhooks:read"),
		write:    own.createKey(t, mainCompany, "webhooks:write"),
		other:    own.createKey(t, otherCompany, allPermissions),
		revoked:  own.createKey(t, revokedCompany, allPermissions),
		expired:  own.createKey(t, mainCompany, allPermissions, "--expires", "1ms"),
		noIssued: noIssued,
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
	own := newOwn(t, o.binary, o.store)
	own.process = own.serve(t, "--dev", "--tls-check", "off")
	unchecked := newSuite(target{
		url: own.process.url, host: hostServe, receiver: referenceReceiver,
		keys: keys{both: own.createKey(t, mainCompany, allPermissions)},
	})
	t.Cleanup(unchecked.http.CloseIdleConnections)
	unchecked.descriptions = s.descriptions
	return unchecked
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

// process is a running `webhookctl serve`.
type process struct {
	command *exec.Cmd
	url     string
	log     *logBuffer
	ended   chan struct{}
	err     error // of its end; read after ended is closed
}

// serve starts `webhookctl serve` on a free port of loopback. It is ended with the test.
func (o *ownTarget) serve(t *testing.T, flags ...string) *process {
	t.Helper()
	p := &process{log: newLogBuffer(), ended: make(chan struct{})}
	ctx, kill := context.WithCancel(context.WithoutCancel(t.Context()))
	args := append([]string{"serve", "--addr", "127.0.0.1:0", "--log-format", "json"}, flags...)
	p.command = exec.CommandContext(ctx, o.binary, args...)
	p.command.Env = o.environ()
	p.command.Stderr = p.log
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.command.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		kill()
		<-p.ended
		if t.Failed() {
			t.Logf("the end of the log of webhookctl serve:\n%s", p.log.tail())
		}
	})
	select {
	case address := <-p.log.serving:
		p.url = "http://" + address
	case <-p.ended:
		t.Fatalf("webhookctl serve ended: %v\n%s", p.err, p.log)
	case <-time.After(startTimeout):
		t.Fatalf("webhookctl serve does not say that it serves\n%s", p.log)
	}
	return p
}

// stop ends the process as an operator does.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	select {
	case <-p.ended:
		if p.err != nil {
			t.Errorf("webhookctl serve ended with %v", p.err)
		}
	case <-time.After(stopTimeout):
		t.Errorf("webhookctl serve did not end within %v of SIGTERM", stopTimeout)
	}
}

// logBuffer keeps a log and tells the address in its line "serving".
type logBuffer struct {
	serving chan string

	mu   sync.Mutex
	text bytes.Buffer
	read int // how much of text was searched for the line
}

func newLogBuffer() *logBuffer { return &logBuffer{serving: make(chan string, 1)} }

// Write adds to the log.
func (b *logBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(data)
	for {
		line, _, found := bytes.Cut(b.text.Bytes()[b.read:], []byte("\n"))
		if !found {
			return len(data), nil
		}
		b.read += len(line) + 1
		var entry struct{ Msg, Addr string }
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "serving" {
			select {
			case b.serving <- entry.Addr:
			default: // nobody waits for a second one
			}
		}
	}
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// tail gives the last lines.
func (b *logBuffer) tail() string {
	const most = 4000
	text := b.String()
	return text[max(0, len(text)-most):]
}
