package delivery

import (
	"context"
	"crypto/x509"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
)

const otherToken = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

// tokens has the token of each webhook.
type tokens map[string]string

func (t tokens) Open(_ context.Context, _, webhookID string, _ []byte) (string, error) {
	return t[webhookID], nil
}

// serve starts a receiver with TLS, and returns its URL and an attempter that trusts its certificate.
func serve(t *testing.T, handler http.Handler, sealer tokenOpener) (string, *Attempter) {
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	loopback := endpoint.Policy{AllowedNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	client := endpoint.NewClient(&endpoint.Dialer{Policy: loopback}, roots, time.Now)
	t.Cleanup(client.Close)
	return server.URL, &Attempter{Client: client, Sealer: sealer, Schedule: DefaultSchedule(), Now: time.Now, Random: rand.Float64}
}

// TestInterop sends events to the programs in docs/receiving.md, which verify them with the published libraries. They are behind a
// proxy with TLS.
func TestInterop(t *testing.T) {
	events := map[string]string{
		"text":    `{"text":"Zoë 😀 ` + "\u2028\u00a0" + ` </script> \ud83d\ude00 \/ \" \\ \u0000"}`,
		"numbers": `{"n":[12345678901234567890123,-0.0,1.10e2,1E400,0.1000000000000000055511151231257827]}`,
		"members": `{"b":1,"a":2,"b":3,"":{},"__proto__":[]}`,
		"256 KiB": `{"text":"` + strings.Repeat("ü€ ", 256<<10/6) + `"}`,
	}
	tests := []struct {
		name, path, token string
		age               time.Duration
		want              int
	}{
		{"valid", "/", token, 0, http.StatusNoContent},
		{"four minutes old", "/", token, 4 * time.Minute, http.StatusNoContent},
		{"six minutes old", "/", token, 6 * time.Minute, http.StatusBadRequest},
		{"another token", "/", otherToken, 0, http.StatusBadRequest},
		{"another body", "/changed", token, 0, http.StatusBadRequest},
	}
	for _, language := range []string{"go", "js", "python"} {
		t.Run(language, func(t *testing.T) {
			program := startProgram(t, language)
			sealer := tokens{}
			receiver, a := serve(t, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(program)
				if r.In.URL.Path == "/changed" { // the same JSON, in other bytes
					r.Out.Body = io.NopCloser(io.MultiReader(strings.NewReader(" "), r.In.Body))
					r.Out.ContentLength++
				}
			}}, sealer)
			for _, tt := range tests {
				sealer["wh_1"] = tt.token
				a.Now = func() time.Time { return time.Now().Add(-tt.age) }
				for name, data := range events {
					body, err := Body("RecurringPayments.charge.paid", a.Now(), []byte(data))
					if err != nil {
						t.Fatal(err)
					}
					w := work()
					w.Webhook.URL, w.Event.Body = receiver+tt.path, body
					if o, err := a.Attempt(t.Context(), w); err != nil || o.Attempt.StatusCode != tt.want {
						t.Errorf("%s, %s: got %+v, %v, want status %d", tt.name, name, o.Attempt, err, tt.want)
					}
				}
			}
		})
	}
}

// startProgram starts the program in docs/receiving.md in a language, and returns its URL.
func startProgram(t *testing.T, language string) *url.URL {
	t.Helper()
	page, err := os.ReadFile("../../docs/receiving.md")
	if err != nil {
		t.Fatal(err)
	}
	source := regexp.MustCompile("(?s)```" + language + "\n(.*?)\n```\n").FindSubmatch(page)
	if source == nil {
		t.Fatalf("docs/receiving.md has no program in %s", language)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, map[string]string{"go": "main.go", "js": "receiver.mjs", "python": "receiver.py"}[language])
	if err := os.WriteFile(file, source[1], 0o600); err != nil {
		t.Fatal(err)
	}
	command := []string{filepath.Join(dir, "receiver")}
	switch language {
	case "go":
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", command[0], file).CombinedOutput(); err != nil {
			t.Fatalf("go build: %v: %s", err, out)
		}
	case "js":
		modules := dynamotest.Service(t, "WEBHOOKS_TEST_JAVASCRIPT")
		if err := os.Symlink(modules+"/node_modules", dir+"/node_modules"); err != nil {
			t.Fatal(err)
		}
		command = []string{"node", file}
	case "python":
		command = []string{dynamotest.Service(t, "WEBHOOKS_TEST_PYTHON") + "/bin/python", file}
	}
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "WEBHOOK_TOKEN="+token, "PORT="+port)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 600 {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return &url.URL{Scheme: "http", Host: address}
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = cmd.Process.Kill()
	t.Fatalf("the program did not start: %v: %s", cmd.Wait(), &output)
	return nil
}

// freeAddress returns an address on loopback whose port is below those of outgoing connections.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := "127.0.0.1:" + strconv.Itoa(20000+rand.IntN(10000))
		if listener, err := net.Listen("tcp", address); err == nil {
			listener.Close()
			return address
		}
	}
	t.Fatal("no free port between 20000 and 29999")
	return ""
}

// Two webhooks with the same URL both get the event, each signed with its own token.
func TestTwoWebhooksWithOneURL(t *testing.T) {
	sealer := tokens{"wh_1": token, "wh_2": otherToken}
	verified := map[string]int{} // by token
	receiver, a := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for _, token := range sealer {
			if verifier, err := standardwebhooks.NewWebhook(token); err == nil && verifier.Verify(body, r.Header) == nil {
				verified[token]++
			}
		}
	}), sealer)
	for id := range sealer {
		w := work()
		w.WebhookID, w.Webhook.ID, w.Webhook.URL = id, id, receiver
		if o, err := a.Attempt(t.Context(), w); err != nil || o.Status != webhook.StatusDelivered {
			t.Errorf("%s: got %+v, %v", id, o, err)
		}
	}
	if verified[token] != 1 || verified[otherToken] != 1 {
		t.Errorf("the requests verify with the tokens %v, want each with one", verified)
	}
}
