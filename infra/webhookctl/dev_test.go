package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// devKey gives the API key that the banner shows.
func (s *server) devKey(t testing.TB) string {
	t.Helper()
	return s.shown(t, `API key +(whk_\S+)\n`)
}

// shown waits for the whole banner and gives what a pattern's group finds in it.
func (s *server) shown(t testing.TB, pattern string) string {
	t.Helper()
	s.waitFor(t, "the banner", func() bool { return strings.Contains(s.stdout.String(), "-X DELETE") })
	found := regexp.MustCompile(pattern).FindStringSubmatch(s.stdout.String())
	if found == nil {
		t.Fatalf("there is no %s in %s", pattern, &s.stdout)
	}
	return found[1]
}

// curlLines gives the lines of the banner that are there to be pasted.
func (s *server) curlLines(t *testing.T) []string {
	t.Helper()
	s.devKey(t)
	return regexp.MustCompile(`(?m)^(?:ID=.*)?\bcurl .*$`).FindAllString(s.stdout.String(), -1)
}

// needCurl skips where there is no curl; in CI there must be.
func needCurl(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("there is no curl: in CI this test must run")
	}
	t.Skip("there is no curl on this machine, which the lines to paste need")
}

// mark separates the outputs of the lines pasted.
const mark = "----"

// paste runs lines in one shell, as a person pastes them one after the other, and gives what each
// printed, stdout and stderr together.
func paste(t *testing.T, lines []string) []string {
	t.Helper()
	script := strings.Join(lines, "\necho; echo "+mark+"\n") + "\n"
	shell := exec.Command("sh")
	shell.Stdin = strings.NewReader(script)
	shell.Env = cleanEnvironment()
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	printed := strings.Split(string(out), mark+"\n")
	for i := range printed {
		printed[i] = strings.TrimSpace(printed[i])
	}
	return printed
}

func TestCurlLines(t *testing.T) {
	needCurl(t)
	eachStore(t, func(t *testing.T, p place) {
		s := startServer(t, p, "--dev")
		lines := s.curlLines(t)
		if len(lines) != 5 {
			t.Fatalf("%d lines to paste, want one for each of five endpoints:\n%s", len(lines), &s.stdout)
		}
		got := paste(t, lines)
		id := regexp.MustCompile(`wh_[0-9A-Z]{26}`).FindString(got[1])
		object := `{"id":"` + id + `","name":"Billing Events","description":"Receive invoice and payment updates","url":"` +
			s.receiverURL(t) + `/webhooks/billing","events":["RecurringPayments.charge.paid"],"token":"`
		want := []string{
			`["RecurringPayments.charge.paid","RecurringPayments.charge.failed"]`,
			object + `whsec_TOKEN"}`,
			`{"entities":"Webhook","count":1,"per_page":10,"pages":{"current":1,"max":1},"elements":[` + object + `redacted"}]}`,
			object + `redacted"}`,
			`{"id":"` + id + `","deleted":true}`,
		}
		got[1] = regexp.MustCompile(`whsec_[A-Za-z0-9+/]{43}=`).ReplaceAllString(got[1], "whsec_TOKEN")
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("line %d, %s\n got %s\nwant %s", i+1, lines[i], got[i], want[i])
			}
		}
		checkLog(t, s.stderr.String(), s.devKey(t))
	})
}

// TestReceiverLine pastes the line that has something arrive.
func TestReceiverLine(t *testing.T) {
	needCurl(t)
	s := startServer(t, place{dir: t.TempDir()}, "--dev", "--data", `it's "data`)
	line := s.shown(t, `nothing is sent in this version yet; try it:\n +(curl .*)\n`)
	paste(t, []string{"cd /", strings.Replace(line, " hello ", " arrived ", 1)})
	s.waitFor(t, "what arrived", func() bool { return strings.Contains(s.stdout.String(), "arrived") })
}

// TestPasteWholeBanner pastes the titles as well, into each shell that there is. Zsh, as it is where
// people type, has no comments.
func TestPasteWholeBanner(t *testing.T) {
	needCurl(t)
	for _, shell := range [][]string{{"sh"}, {"bash"}, {"zsh", "-f", "-i"}} {
		t.Run(shell[0], func(t *testing.T) {
			if _, err := exec.LookPath(shell[0]); err != nil {
				t.Skipf("there is no %s on this machine", shell[0])
			}
			s := startServer(t, place{dir: t.TempDir()}, "--dev")
			s.devKey(t)
			_, block, _ := strings.Cut(s.stdout.String(), "in this order:\n")
			for line := range strings.Lines(block) {
				if line != "\n" && !regexp.MustCompile(`^(: '[A-Z][a-z, ]+'|.*curl .*)\n$`).MatchString(line) {
					t.Errorf("a line that is neither title nor command: %q", line)
				}
			}
			paste := exec.Command(shell[0], shell[1:]...)
			paste.Stdin, paste.Env = strings.NewReader(block), cleanEnvironment()
			out, err := paste.CombinedOutput()
			if err != nil || strings.Count(string(out), "RecurringPayments.charge.paid") != 4 || !strings.Contains(string(out), `"deleted":true}`) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func (s *server) receiverURL(t *testing.T) string {
	t.Helper()
	return s.shown(t, `Receiver +(https://\S+)\n`)
}

func TestDevRestart(t *testing.T) {
	needCurl(t)
	eachStore(t, func(t *testing.T, p place) {
		s := startServer(t, p, "--dev")
		key, url := s.devKey(t), s.receiverURL(t)
		paste(t, s.curlLines(t)[:2])
		s.stop(t)

		s = startServer(t, p, "--dev")
		if got := s.devKey(t); got != key {
			t.Error("a restart shows another key")
		}
		if got := s.receiverURL(t); got != url {
			t.Errorf("a restart has the receiver at %s, want %s as before", got, url)
		}
		var list struct{ Count int }
		if err := json.Unmarshal([]byte(paste(t, s.curlLines(t)[2:3])[0]), &list); err != nil || list.Count != 1 {
			t.Errorf("after a restart there are %d webhooks (%v), want the one made before", list.Count, err)
		}
		if rows := listKeys(t, p, "dev"); len(rows) != 1 {
			t.Errorf("the company has the keys %q, want one", rows)
		}
	})
}

// TestDevWithANewDatabase is what happens when DynamoDB Local, in memory, is started again.
func TestDevWithANewDatabase(t *testing.T) {
	p := place{dir: t.TempDir()}
	s := startServer(t, p, "--dev")
	key := s.devKey(t)
	s.stop(t)
	databases, err := filepath.Glob(filepath.Join(p.dir, ".webhooks", "webhooks.db*"))
	if err != nil || len(databases) == 0 {
		t.Fatalf("found %v, %v", databases, err)
	}
	for _, file := range databases {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	s = startServer(t, p, "--dev")
	if got := s.devKey(t); got != key {
		t.Error("it shows another key")
	}
	if status, _, body := s.request(t, "GET", "/webhooks", key, ""); status != 200 {
		t.Errorf("the key does not work: %d %s", status, body)
	}
}

func TestDevFiles(t *testing.T) {
	p := place{dir: t.TempDir()}
	s := startServer(t, p, "--dev")
	for name, want := range map[string]os.FileMode{
		"":               0o700,
		"webhooks.db":    0o600,
		"token.key":      0o600,
		"dev":            0o700,
		"dev/api-key":    0o600,
		"dev/ca-key.pem": 0o600,
		"dev/ca.pem":     0o644,
	} {
		checkMode(t, filepath.Join(p.dir, ".webhooks", name), want)
	}
	if got := strings.TrimSpace(string(mustRead(t, filepath.Join(p.dir, ".webhooks", "dev", "api-key")))); got != s.devKey(t) {
		t.Error("the key kept is not the one shown")
	}
}

func TestDevReceiver(t *testing.T) {
	p := place{dir: t.TempDir()}
	s := startServer(t, p, "--dev")
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(mustRead(t, filepath.Join(p.dir, ".webhooks", "dev", "ca.pem"))) {
		t.Fatal("ca.pem holds no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	answer, err := (&http.Client{Transport: transport}).Post(s.receiverURL(t)+"/webhooks/billing", "application/json", strings.NewReader(`{"type":"a.b"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		t.Errorf("got %d, want 204", answer.StatusCode)
	}
	s.waitFor(t, "the webhook to be shown", func() bool {
		return strings.Contains(s.stdout.String(), "received POST /webhooks/billing, 14 bytes\n  content-type: application/json\n  {\"type\":\"a.b\"}\n")
	})
}
