package main

import (
	"bytes"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// tool prepares a command that calls the service, in the directory that it was started in.
func (s *service) tool(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return newTool(t, s.cmd.Dir, append(args, "--url", "http://"+s.addr)...)
}

// masked replaces what differs between runs, and the width of columns.
func masked(text string) string {
	for _, mask := range []struct{ pattern, with string }{
		{`(evt|dlv|wh)_[0-9A-Z]{26}`, "${1}_ID"},
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z`, "TIME"},
		{`\d+ ms`, "N ms"},
		{`\d+\.\d s`, "N s"},
		{`"duration_ms":\d+`, `"duration_ms":N`},
		{`127\.0\.0\.1:\d+`, "HOST"},
		{`webhook-timestamp: \d{10}`, "webhook-timestamp: SECONDS"},
		{`v1,[A-Za-z0-9+/]{43}=`, "v1,SIGNATURE"},
		{`\d\d:\d\d:\d\d received`, "received"},
		{`, [0-9.]+m?s after the event`, ", N after the event"},
		{`(\S) {2,}`, "$1  "},
	} {
		text = regexp.MustCompile(mask.pattern).ReplaceAllString(text, mask.with)
	}
	return text
}

// newDelivering starts a service with a sample receiver and a webhook for it.
func newDelivering(t *testing.T, flags ...string) (s *service, webhookID string) {
	t.Helper()
	p := place{dir: t.TempDir()}
	newKey(t, p)
	s = startServer(t, p, append([]string{"--dev"}, flags...)...)
	webhookID, _ = s.create(t, s.devKey(t), s.shown(t, `Receiver +(https://\S+)\n`)+"/hook")
	return s, webhookID
}

// waitForDelivery waits until the newest delivery of a webhook has a status, and returns its ID.
func (s *service) waitForDelivery(t *testing.T, webhookID, status string) (id string) {
	t.Helper()
	newest := regexp.MustCompile(`\n(dlv_\S+) +evt_\S+ +\S+ +` + status + ` `)
	s.waitFor(t, "the delivery", func() bool {
		stdout, _ := mustRun(t, s.tool(t, "deliveries", "list", webhookID, "--size", "1"))
		if match := newest.FindStringSubmatch(stdout); match != nil {
			id = match[1]
		}
		return id != ""
	})
	return id
}

func checkOutput(t *testing.T, tool *exec.Cmd, wantOut, wantErr string) {
	t.Helper()
	stdout, stderr := mustRun(t, tool)
	if got := masked(stdout); got != wantOut || masked(stderr) != wantErr {
		t.Errorf("%v printed\n%s\non stderr\n%s\nwant\n%s\non stderr\n%s", tool.Args[1:], got, masked(stderr), wantOut, wantErr)
	}
}

// TestCommandsOfDelivery publishes an event and follows its delivery.
func TestCommandsOfDelivery(t *testing.T) {
	s, webhookID := newDelivering(t)
	const data = `{"n": 1.0}`
	must(t, os.WriteFile(filepath.Join(s.cmd.Dir, "data.json"), []byte(data), 0o600))
	publish := []string{"publish", "a.b", "--event-key", "charge-1", "--file", "data.json"}
	first, _ := mustRun(t, s.tool(t, publish...))
	eventID := strings.TrimSpace(first)
	checkOutput(t, s.tool(t, publish...), "evt_ID\n", "This event was already published with the key charge-1.\n")
	deliveryID := s.waitForDelivery(t, webhookID, "delivered")
	const deliveryTable = "DELIVERY  EVENT  TYPE  STATUS  CREATED  ATTEMPTS  LAST  NEXT\ndlv_ID  evt_ID  a.b  delivered  TIME  1  204  -\n"
	const lastAttempt = `{"number":1,"at":"TIME","duration_ms":N,"url":"https://HOST/hook","status_code":204,"error":null,"bytes":0,"response":""}`
	for _, tt := range []struct {
		args string
		want string
	}{
		{"events show " + eventID, "ID  evt_ID\nTYPE  a.b\nKEY  charge-1\nHAPPENED  TIME\nACCEPTED  TIME\nDATA  {\"n\":1.0}\n\n" +
			"DELIVERY  WEBHOOK  STATUS  ATTEMPTS\ndlv_ID  wh_ID  delivered  1\n"},
		{"deliveries list " + webhookID, deliveryTable},
		{"deliveries list " + webhookID + " --status failed --type a.b --from 2020-01-01T00:00:00Z", "DELIVERY  EVENT  TYPE  STATUS  CREATED  ATTEMPTS  LAST  NEXT\n"},
		{"deliveries list --output json " + webhookID, `{"elements":[{"id":"dlv_ID","event_id":"evt_ID","event_type":"a.b","status":"delivered","created_at":"TIME",` +
			`"attempt_count":1,"next_attempt_at":null,"last_attempt":` + lastAttempt + "}],\"next\":null}\n"},
		{"deliveries show " + webhookID + " " + deliveryID, deliveryTable + "\nATTEMPT  AT  DURATION  RESULT  ERROR  RESPONSE\n1  TIME  N ms  204  -  -\n"},
		{"publish a.b {} --output json", `{"id":"evt_ID","replayed":false}` + "\n"},
		{"publish a.b {} --count 3 --rate 100 --output json", `{"events":[{"id":"evt_ID"},{"id":"evt_ID"},{"id":"evt_ID"}]}` + "\n"},
	} {
		checkOutput(t, s.tool(t, strings.Fields(tt.args)...), tt.want, "")
	}
	mustFail(t, s.tool(t, "publish", "a.b", `{"n":2}`, "--event-key", "charge-1"),
		"http://"+s.addr+" returned 409: This key was already used for a different event.")
	mustRun(t, s.tool(t, "deliveries", "retry", webhookID, deliveryID))
	s.waitFor(t, "the retry to arrive", func() bool {
		return strings.Contains(masked(s.stdout.String()), "attempt 2, signature valid, N after the event: responding with 204")
	})

	fromStdin := s.tool(t, "publish", "a.b", "--count", "250")
	fromStdin.Stdin = strings.NewReader(data)
	ids, stderr := mustRun(t, fromStdin)
	if len(regexp.MustCompile(`(?m)^evt_\S{26}$`).FindAllString(ids, -1)) != 250 || masked(stderr) != "Published 250 events in N s.\n" {
		t.Errorf("publishing 250 events printed %q and %q", ids, stderr)
	}
	more := s.tool(t, "deliveries", "list", webhookID, "--size", "100")
	page, stderr := mustRun(t, more)
	if strings.Count(page, "\n") != 101 || !strings.HasPrefix(stderr, "There are more deliveries: add --cursor ") {
		t.Errorf("a page of 100 of 255 deliveries is\n%s\non stderr %q", page, stderr)
	}
	if _, _, metrics := s.request(t, "GET", "/metrics", "", ""); !strings.Contains(metrics, "\nwebhooks_events_accepted_total 255\n") {
		t.Errorf("/metrics is\n%s\nwant 255 accepted events", metrics)
	}
	checkLog(t, s.stderr.String(), s.devKey(t))
}

// TestListen fails the first attempt of an event and then receives it.
func TestListen(t *testing.T) {
	s, _ := newDelivering(t, "--retry-schedule", "100ms")
	listening := regexp.MustCompile(`at https://(\S+), on any path`)
	listen := func(token string, args ...string) (p *process, addr string) {
		t.Helper()
		tool := newTool(t, s.cmd.Dir, append([]string{"listen"}, args...)...)
		tool.Env = append(tool.Env, "WEBHOOKS_TOKEN="+token)
		p = start(t, tool)
		p.waitFor(t, "the receiver", func() bool { return listening.MatchString(p.stderr.String()) })
		return p, listening.FindStringSubmatch(p.stderr.String())[1]
	}
	stop := func(p *process) {
		t.Helper()
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		if got := p.wait(t); got.code != 0 {
			t.Errorf("listen exited with %d: %s", got.code, got.stderr)
		}
	}
	p, addr := listen("", "--addr", "127.0.0.1:0")
	webhookID, token := s.create(t, s.devKey(t), "https://"+addr+"/listen")
	stop(p)
	p, _ = listen(token, "--addr", addr, "--fail", "1", "--status", "202", "--delay", "10ms")
	mustRun(t, s.tool(t, "publish", "a.b", "{}"))
	s.waitForDelivery(t, webhookID, "delivered")
	stop(p)
	const post = "received POST /listen, 63 bytes\n  webhook-id: evt_ID\n  webhook-timestamp: SECONDS\n  webhook-signature: v1,SIGNATURE\n" +
		"  content-type: application/json\n  {\"type\":\"a.b\",\"timestamp\":\"TIME\",\"data\":{}}\n"
	const want = post + "  attempt 1, signature valid, N after the event: responding with 500\n" +
		post + "  attempt 2, signature valid, N after the event: responding with 202\n"
	if got := masked(p.stdout.String()); got != want {
		t.Errorf("listen printed\n%s\nwant\n%s", got, want)
	}
}

// TestDeliveryVerifiesCertificates checks that --tls-check off does not apply to deliveries.
func TestDeliveryVerifiesCertificates(t *testing.T) {
	s, _ := newDelivering(t, "--tls-check", "off")
	url, _ := receiver(t)
	webhookID, _ := s.create(t, s.devKey(t), url)
	mustRun(t, s.tool(t, "publish", "a.b", "{}"))
	s.waitFor(t, "the attempt", func() bool {
		stdout, _ := mustRun(t, s.tool(t, "deliveries", "list", webhookID))
		return strings.Contains(masked(stdout), "dlv_ID  evt_ID  a.b  pending  TIME  1  tls  TIME\n")
	})
}

// TestAnotherProcessTakesOver publishes at a process that does not deliver, and then stops the one that does.
func TestAnotherProcessTakesOver(t *testing.T) {
	s, webhookID := newDelivering(t)
	s.waitFor(t, "the first to deliver", func() bool { return strings.Contains(s.stderr.String(), `"msg":"delivering"`) })
	second := startService(t, newTool(t, s.cmd.Dir, "serve", "--dev", "--addr", "127.0.0.1:0"))
	second.waitFor(t, "the second to wait", func() bool { return strings.Contains(second.stderr.String(), "another process delivers") })
	mustRun(t, second.tool(t, "publish", "a.b", "{}"))
	s.waitForDelivery(t, webhookID, "delivered") // by the first, which notices the other's commit
	s.stop(t)
	second.waitFor(t, "the second to deliver", func() bool { return strings.Contains(second.stderr.String(), `"msg":"delivering"`) })
	if strings.Contains(s.stderr.String(), `"level":"ERROR"`) {
		t.Errorf("the first logged\n%s", &s.stderr)
	}
}

func TestDemo(t *testing.T) {
	tool := newTool(t, t.TempDir(), "demo")
	tool.Env = append(tool.Env, "TMPDIR="+tool.Dir)
	stdout, stderr := mustRun(t, tool)
	rest := masked(stdout)
	for _, want := range []string{
		"-> 201 wh_ID\n", "-> 202 evt_ID\n", " N ms later", "webhook-id: evt_ID\n", "signature valid",
		"-> 202 evt_ID\n", "attempt 1: signature valid", "500\n", "attempt 2: signature valid", "204\n", "delivered",
		"1  TIME  N ms  500  status  -\n", "2  TIME  N ms  204  -  -\n",
	} {
		_, after, found := strings.Cut(rest, want)
		if rest = after; !found {
			t.Fatalf("it printed\n%s\nwithout %q in its place", stdout, want)
		}
	}
	if files, err := os.ReadDir(tool.Dir); err != nil || len(files) != 0 || stderr != "" {
		t.Errorf("it left %v, %v, and printed %q on stderr", files, err, stderr)
	}
}

// TestStandardLogger checks that the log does not quote what packages print, which can be a receiver's response.
func TestStandardLogger(t *testing.T) {
	flags, writer := log.Flags(), log.Writer()
	defer func() { log.SetFlags(flags); log.SetOutput(writer) }()
	var out bytes.Buffer
	divertStandardLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.Print("Unsolicited response: secret")
	if got := fmt.Sprint(&out); !strings.Contains(got, "level=DEBUG") || strings.Contains(got, "secret") {
		t.Errorf("logged %q", got)
	}
}
