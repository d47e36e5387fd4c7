package e2e

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	mainCompany    = "e2e-main"
	otherCompany   = "e2e-other"
	allPermissions = "webhooks:read,webhooks:write,events:read,events:write"
	ownQuota       = 105 // a full company's list has more than one page of 100
)

// service is a webhookctl serve that the tests started on an empty database, with the operator's commands.
type service struct {
	*process
	binary, store string
	directory     string // contains .webhooks, as the repository's root does
	environment   []string
	receivers     *receivers
}

// buildWebhookctl builds the binary under test. It skips the test if the environment names a service to test instead.
func buildWebhookctl(t *testing.T) string {
	t.Helper()
	if os.Getenv("WEBHOOKS_E2E_URL") != "" {
		t.Skip("WEBHOOKS_E2E_URL is set, so only that service is tested")
	}
	// go test reuses a result until a file or directory that the test has opened changes.
	for _, directory := range []string{"../../shared", "../webhookctl"} {
		if err := filepath.WalkDir(directory, func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(t.TempDir(), "webhookctl")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "webhooks/infra/webhookctl").CombinedOutput(); err != nil {
		t.Fatalf("building webhookctl: %v\n%s", err, out)
	}
	return binary
}

// startTarget starts a service with the keys and event types that the tests need.
func startTarget(t *testing.T, binary, store string) target {
	t.Helper()
	o := newService(t, binary, store)
	o.receivers = startReceivers(t)
	o.addTypes(t, "", referenceEvent, "RecurringPayments.charge.failed")
	keys := keys{
		both:    o.createKey(t, mainCompany, allPermissions),
		read:    o.createKey(t, mainCompany, "webhooks:read"),
		write:   o.createKey(t, mainCompany, "webhooks:write"),
		other:   o.createKey(t, otherCompany, allPermissions),
		publish: o.createKey(t, mainCompany, "events:write"),
		events:  o.createKey(t, mainCompany, "events:read"),
		revoked: o.createKey(t, "e2e-revoked", allPermissions),
		expired: o.createKey(t, mainCompany, allPermissions, "--expires", "1ms"),
	}
	keys.platform = o.run(t, "keys", "create", "--platform", "--permissions", "events:read,events:write")
	o.run(t, "keys", "revoke", regexp.MustCompile(`key_[\w-]+`).FindString(o.run(t, "keys", "list", "--company", "e2e-revoked")))
	o.serve(t, "--quota", strconv.Itoa(ownQuota), "--ca-file", o.receivers.caFile,
		"--allow-network", "127.0.0.1/32", "--allow-network", "127.0.0.2/32")
	return target{url: o.url, host: serve, keys: keys, receiver: o.receivers.good.url, quota: ownQuota, own: o}
}

// newService returns a service that is not running, with an empty database in a store, "sqlite" or "dynamodb".
func newService(t *testing.T, binary, store string) *service {
	t.Helper()
	o := &service{binary: binary, store: store, directory: t.TempDir()}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "WEBHOOKS_") && !strings.HasPrefix(variable, "AWS_") && !strings.HasPrefix(variable, "SSL_CERT_") {
			o.environment = append(o.environment, variable)
		}
	}
	o.environment = append(o.environment, "WEBHOOKS_STORE="+store, "WEBHOOKS_DATA="+filepath.Join(o.directory, ".webhooks"))
	if store == "dynamodb" {
		database := need(t, os.Getenv("WEBHOOKS_TEST_DYNAMODB_ENDPOINT"), "WEBHOOKS_TEST_DYNAMODB_ENDPOINT (make test sets it)")
		queues := need(t, os.Getenv("WEBHOOKS_TEST_MOTO_ENDPOINT"), "WEBHOOKS_TEST_MOTO_ENDPOINT (make test sets it)")
		o.environment = append(o.environment, "WEBHOOKS_DYNAMODB_ENDPOINT="+database, "WEBHOOKS_SQS_ENDPOINT="+queues,
			"WEBHOOKS_TABLE_PREFIX=e2e-"+rand.Text()[:10]+"-")
	}
	if err := os.MkdirAll(filepath.Join(o.directory, ".webhooks", "dev"), 0o700); err != nil { // so that serve --dev accepts the data
		t.Fatal(err)
	}
	o.run(t, "tables", "create")
	return o
}

// another starts another service on an empty database of the same store and returns a suite for it.
func (s *suite) another(t *testing.T, flags ...string) *suite {
	t.Helper()
	o := newService(t, s.own.binary, s.own.store)
	key := o.createKey(t, mainCompany, allPermissions)
	o.serve(t, flags...)
	other := newSuite(t, target{url: o.url, host: serve, receiver: referenceReceiver, keys: keys{both: key}, own: o})
	other.descriptions = s.descriptions
	return other
}

// run runs a command of webhookctl and returns its output.
func (o *service) run(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), o.binary, args...)
	command.Env = o.environment
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("webhookctl %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

func (o *service) createKey(t *testing.T, company, permissions string, more ...string) string {
	t.Helper()
	return o.run(t, slices.Concat([]string{"keys", "create", "--company", company, "--permissions", permissions}, more)...)
}

// addTypes adds event types for a company, or for all companies if it is empty.
func (o *service) addTypes(t *testing.T, company string, names ...string) {
	t.Helper()
	var owner []string
	if company != "" {
		owner = []string{"--company", company}
	}
	for _, name := range names {
		o.run(t, append([]string{"types", "add", name}, owner...)...)
	}
}

// process is a running webhookctl serve. The log and err may be read after it has exited.
type process struct {
	url     string
	command *exec.Cmd
	exited  chan struct{}
	err     error
	log     strings.Builder
}

// serve starts webhookctl serve on a free port of loopback. It is killed when the test ends.
func (o *service) serve(t *testing.T, flags ...string) {
	t.Helper()
	p := &process{exited: make(chan struct{})}
	p.command = exec.CommandContext(context.WithoutCancel(t.Context()), o.binary,
		append([]string{"serve", "--addr", "127.0.0.1:0", "--log-format", "json", "--rate-limit", "0"}, flags...)...)
	p.command.Env = o.environment
	stderr, err := p.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			log := p.log.String()
			t.Logf("the end of the log of webhookctl serve:\n%s", log[max(0, len(log)-4000):])
		}
	})
	serving := make(chan string, 1)
	go func() {
		defer close(p.exited)
		for lines := bufio.NewReader(stderr); ; {
			line, err := lines.ReadString('\n')
			p.log.WriteString(line)
			var entry struct{ Msg, Addr string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "serving" {
				serving <- entry.Addr
			}
			if err != nil {
				break
			}
		}
		p.err = p.command.Wait()
	}()
	select {
	case address := <-serving:
		p.url = "http://" + address
		o.process = p
	case <-p.exited:
		t.Fatalf("webhookctl serve exited: %v", p.err)
	case <-time.After(30 * time.Second):
		t.Fatal("webhookctl serve did not log that it is serving")
	}
}

// kill kills the process, as kill -9 does, and waits for its end.
func (p *process) kill() {
	_ = p.command.Process.Kill() // it may have exited
	<-p.exited
}

// finish stops the service with SIGTERM and checks that its log has no secret and that receivers got only TLS handshakes.
func (o *service) finish(t *testing.T, secrets []string) {
	t.Helper()
	if err := o.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-o.exited:
	case <-time.After(35 * time.Second):
		t.Fatal("webhookctl serve did not exit within 35 s of SIGTERM")
	}
	if o.err != nil {
		t.Errorf("after SIGTERM, webhookctl serve exited with %v", o.err)
	}
	for _, secret := range secrets {
		if strings.Contains(o.log.String(), secret) {
			t.Error("the log contains an API key, a token or a customer's URL")
		}
	}
	for _, r := range o.receivers.all {
		if n := r.requests.Load(); n != 0 {
			t.Errorf("%s got %d HTTP requests, want only TLS handshakes", r.url, n)
		}
	}
}
