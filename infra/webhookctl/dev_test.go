package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// devKey returns the API key that the banner shows.
func (s *service) devKey(t *testing.T) string {
	t.Helper()
	return s.shown(t, `API key +(whk_\S+)\n`)
}

// shown waits for the whole banner and returns what the group of a pattern matches in it.
func (s *service) shown(t *testing.T, pattern string) string {
	t.Helper()
	s.waitFor(t, "the banner", func() bool { return strings.Contains(s.stdout.String(), "-X DELETE") })
	return regexp.MustCompile(pattern).FindStringSubmatch(s.stdout.String())[1]
}

// TestPasteBanner pastes the commands of the banner into every shell of this machine, as people do. An interactive zsh does not
// support comments.
func TestPasteBanner(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil && os.Getenv("CI") == "" {
		t.Skip("curl is missing: the commands need it")
	}
	for _, shell := range [][]string{{"sh"}, {"bash"}, {"zsh", "-f", "-i"}} {
		t.Run(shell[0], func(t *testing.T) {
			if _, err := exec.LookPath(shell[0]); err != nil {
				t.Skipf("%s is missing on this machine", shell[0])
			}
			s := startServer(t, place{dir: t.TempDir()}, "--dev", "--data", `it's "data`)
			receiver := s.shown(t, `Receiver +(https://\S+)\n`)
			paste := exec.Command(shell[0], shell[1:]...)
			paste.Dir = t.TempDir()
			paste.Stdin = strings.NewReader(s.shown(t, `(?s)in this order:\n(.*)$`))
			paste.Env = cleanEnvironment()
			out, err := paste.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			object := `{"id":"wh_ID","name":"Billing Events","description":"Receive invoice and payment updates","url":"` +
				receiver + `/webhooks/billing","events":["RecurringPayments.charge.paid"],"token":"`
			got := regexp.MustCompile(`wh_[0-9A-Z]{26}`).ReplaceAllString(string(out), "wh_ID")
			got = regexp.MustCompile(`evt_[0-9A-Z]{26}`).ReplaceAllString(got, "evt_ID")
			got = regexp.MustCompile(`whsec_[A-Za-z0-9+/]{43}=`).ReplaceAllString(got, "whsec_TOKEN")
			for _, line := range []string{
				`["RecurringPayments.charge.paid","RecurringPayments.charge.failed"]`,
				object + `whsec_TOKEN"}`,
				`{"entities":"Webhook","count":1,"per_page":10,"pages":{"current":1,"max":1},"elements":[` + object + `redacted"}]}`,
				object + `redacted"}`,
				`{"id":"evt_ID"}`,
				`"status_code":204,"error":null,"bytes":0,"response":""}}],"next":null}`, // the end of the list of deliveries
				`{"id":"wh_ID","deleted":true}`,
			} {
				if !strings.Contains(got, line+"\n") {
					t.Errorf("the commands printed\n%s\nwant a line %s", got, line)
				}
			}
			s.waitFor(t, "the receiver to print", func() bool { return strings.Contains(s.stdout.String(), "attempt 1, signature valid, ") })
			checkLog(t, s.stderr.String(), s.devKey(t))
		})
	}
}

// TestDevRestart checks the data directory, and that a restart uses what is in it.
func TestDevRestart(t *testing.T) {
	p := place{dir: t.TempDir()}
	s := startServer(t, p, "--dev")
	banner := s.shown(t, `(?s)(.*)`)
	for name, want := range map[string]os.FileMode{
		"":                  0o700,
		"webhooks.db":       0o600,
		"token.key":         0o600,
		"dev":               0o700,
		"dev/api-key":       0o600,
		"dev/ca-key.pem":    0o600,
		"dev/ca.pem":        0o644,
		"dev/receiver-port": 0o644,
	} {
		checkMode(t, filepath.Join(p.dir, ".webhooks", name), want)
	}
	tokenKey, want := string(mustRead(t, p.keyFile())), strings.ReplaceAll(banner, s.addr, "ADDR")
	s.stop(t)
	s = startServer(t, p, "--dev")
	if got := strings.ReplaceAll(s.shown(t, `(?s)(.*)`), s.addr, "ADDR"); got != want {
		t.Errorf("after a restart the banner is\n%s\nwant\n%s", got, want)
	}
	if string(mustRead(t, p.keyFile())) != tokenKey {
		t.Error("a restart created a new token key")
	}
	s.stop(t)
}

// TestDevRejectsOtherData checks that --dev leaves the database or the token key of a production service as it is, and that only
// the production service asks for a backup of its token key.
func TestDevRejectsOtherData(t *testing.T) {
	p := place{dir: t.TempDir()}
	s := startServer(t, p)
	s.stop(t)
	must(t, os.Remove(filepath.Join(p.dir, ".webhooks/webhooks.db-delivery")))
	for _, file := range []string{".webhooks/webhooks.db", ".webhooks/token.key"} {
		mustFail(t, newTool(t, p.dir, "serve", "--dev", "--addr", "127.0.0.1:0"),
			file+" was not created by serve --dev: …")
		must(t, os.Remove(filepath.Join(p.dir, file)))
	}
	if files, err := os.ReadDir(filepath.Join(p.dir, ".webhooks")); err != nil || len(files) != 0 {
		t.Errorf("--dev left %v, %v", files, err)
	}
	dev := startServer(t, p, "--dev")
	dev.stop(t)
	if asked, devAsked := strings.Contains(s.stderr.String(), "BACK IT UP"), strings.Contains(dev.stderr.String(), "BACK IT UP"); !asked || devAsked {
		t.Errorf("asked for a backup: %v in production, %v with --dev\nstderr: %s%s", asked, devAsked, &s.stderr, &dev.stderr)
	}
}
