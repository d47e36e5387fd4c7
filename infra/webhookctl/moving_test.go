package main

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"webhooks/shared/seal"
)

// newMoved returns a service on SQLite. The company acme has three webhooks, whose tokens it returns, an active API key and a
// revoked one with a label, and an event type of its own. One of the other event types is removed. There is another company, too.
func newMoved(t *testing.T) (p place, key string, tokens []string) {
	t.Helper()
	p = place{dir: t.TempDir()}
	for _, args := range [][]string{
		{"types", "add", "z.first"},
		{"types", "add", "gone", "--description", "removed again"},
		{"types", "add", "own", "--company", "acme"},
		{"types", "remove", "gone"},
	} {
		mustRun(t, newTool(t, p.dir, args...))
	}
	key = newKey(t, p)
	_, created := mustRun(t, newTool(t, p.dir, "keys", "create", "--company", "acme", "--permissions", "webhooks:read", "--label", "CI job"))
	mustRun(t, newTool(t, p.dir, "keys", "revoke", regexp.MustCompile(`key_acme_\w+`).FindString(created)))
	s := startServer(t, p, "--dev", "--tls-check", "off") // creates the other company
	for range 3 {
		_, token := s.create(t, key, "https://example.com/hook")
		tokens = append(tokens, token)
	}
	s.stop(t)
	return p, key, tokens
}

// exportKey is the key file of all exports, relative to a place's directory.
const exportKey = "export.key"

// exportOf exports the company acme of a place. It returns the export, and the export with its tokens decrypted.
func exportOf(t *testing.T, p place, flags ...string) (export, decrypted string) {
	t.Helper()
	command := append([]string{"export", "--company", "acme", "--export-key-file", exportKey}, flags...)
	export, _ = mustRun(t, newTool(t, p.dir, p.args(command...)...))
	keys, err := seal.LoadKeyFile(t.Context(), filepath.Join(p.dir, exportKey))
	must(t, err)
	for line := range strings.Lines(export) {
		var w struct {
			ID     string
			Sealed []byte `json:"sealed_token"`
		}
		must(t, json.Unmarshal([]byte(line), &w))
		if w.Sealed != nil {
			token, err := (seal.Sealer{Keys: keys}).Open(t.Context(), "acme", w.ID, w.Sealed)
			must(t, err)
			line = regexp.MustCompile(`"sealed_token":"[^"]*"`).ReplaceAllLiteralString(line, token)
		}
		decrypted += line
	}
	return export, decrypted
}

// importOf imports an export of another place and returns what import prints.
func importOf(t *testing.T, p place, export string, from place, flags ...string) string {
	t.Helper()
	command := append([]string{"import", "-", "--export-key-file", filepath.Join(from.dir, exportKey)}, flags...)
	tool := newTool(t, p.dir, p.args(command...)...)
	tool.Stdin = strings.NewReader(export)
	stdout, _ := mustRun(t, tool)
	return stdout
}

// TestSignalWhileImportWaits stops an import whose input does not continue after the header.
func TestSignalWhileImportWaits(t *testing.T) {
	from, to := place{dir: t.TempDir()}, place{dir: t.TempDir()}
	newKey(t, from)
	export, _ := exportOf(t, from)
	tool := newTool(t, to.dir, "import", "-", "--export-key-file", filepath.Join(from.dir, exportKey))
	in, out, err := os.Pipe()
	must(t, err)
	defer in.Close()
	defer out.Close()
	tool.Stdin = in
	run := start(t, tool)
	_, err = out.WriteString(export[:strings.Index(export, "\n")+1])
	must(t, err)
	run.waitFor(t, "the import to start", func() bool { _, err := os.Stat(to.keyFile()); return err == nil })
	_ = tool.Process.Signal(syscall.SIGTERM)
	if got := run.wait(t); got.code != 1 || !strings.HasSuffix(got.stderr, "webhookctl: interrupted by a signal before it was done: run it again\n") {
		t.Errorf("got %+v, want exit code 1", got)
	}
}

func (p place) keyFile() string { return filepath.Join(p.dir, ".webhooks", "token.key") }

// TestMove moves a company to another store, which has its own token key. Everything stays the same, and the company can create
// another webhook.
func TestMove(t *testing.T) {
	first, key, tokens := newMoved(t)
	export, decrypted := exportOf(t, first)
	for name, target := range map[string]func(*testing.T) (p place, keyFlags []string){
		"to SQLite":           func(t *testing.T) (place, []string) { return place{dir: t.TempDir()}, nil },
		"to DynamoDB":         func(t *testing.T) (place, []string) { return onDynamoDB(t), nil },
		"to DynamoDB and KMS": func(t *testing.T) (place, []string) { return onDynamoDB(t), newKMSKey(t) },
	} {
		t.Run(name, func(t *testing.T) {
			p, keyFlags := target(t)
			mustRun(t, newTool(t, p.dir, p.args("tables", "create")...))
			for _, want := range []string{
				": imported 3 webhooks, 6 event types and 2 API keys; 0 webhooks, 0 event types and 0 API keys already existed.\n",
				": imported 0 webhooks, 0 event types and 0 API keys; 3 webhooks, 6 event types and 2 API keys already existed.\n",
			} {
				if stdout := importOf(t, p, export, first, keyFlags...); !strings.HasPrefix(stdout, "Company acme in ") || !strings.HasSuffix(stdout, want) {
					t.Errorf("import printed %q, want it to end with %q", stdout, want)
				}
			}
			if keyFlags == nil {
				checkMode(t, p.keyFile(), 0o600)
			} else if _, err := os.Stat(p.keyFile()); err == nil {
				t.Error("import created a token key file in addition to the KMS key")
			}
			if _, again := exportOf(t, p, keyFlags...); again != decrypted {
				t.Errorf("exported again\n%s\nwant\n%s", again, decrypted)
			}
			wantKeys := regexp.MustCompile(` 2\d{3}-\d\d-\d\d +- +active\nkey_acme_.*Z +never +never +CI job +revoked\n$`)
			if list, _ := mustRun(t, newTool(t, p.dir, p.args("keys", "list", "--company", "acme")...)); !wantKeys.MatchString(list) {
				t.Errorf("keys list printed\n%s\nwant the first key used, and the second one with its label", list)
			}
			s := startServer(t, p, append(keyFlags, "--dev", "--tls-check", "off")...)
			if status, _, body := s.request(t, "GET", "/webhooks", key, ""); status != 200 || !strings.HasPrefix(body, `{"entities":"Webhook","count":3,`) {
				t.Errorf("got %d %s, want three webhooks", status, body)
			}
			const types = `["z.first","a.b","RecurringPayments.charge.paid","RecurringPayments.charge.failed","own"]`
			if status, _, body := s.request(t, "GET", "/webhooks/types", key, ""); body != types {
				t.Errorf("got %d %s, want %s", status, body, types)
			}
			_, token := s.create(t, key, "https://example.com/hook")
			s.stop(t)
			checkLog(t, s.stderr.String(), key)
			_, last := exportOf(t, p, keyFlags...)
			for _, token := range append(tokens, token) {
				if !strings.Contains(last, token) {
					t.Errorf("the token %s is not in the last export:\n%s", token, last)
				}
			}
		})
	}
}

// TestMoveAll moves all companies at once.
func TestMoveAll(t *testing.T) {
	first, _, _ := newMoved(t)
	listed := func(p place) string {
		companies, _ := mustRun(t, newTool(t, p.dir, p.args("companies", "list")...))
		return companies
	}
	exported := func(p place) string {
		export, _ := mustRun(t, newTool(t, p.dir, p.args("export", "--export-key-file", filepath.Join(first.dir, exportKey))...))
		return export
	}
	sealed, companies, export := regexp.MustCompile(`"sealed_token":"[^"]*"`), listed(first), exported(first)
	n := strings.Count(companies, "\n") - 1
	if n < 2 || strings.Count(export, `"kind":"header"`) != n {
		t.Fatalf("got the companies\n%sand the export\n%s, want several companies in both", companies, export)
	}
	eachStore(t, func(t *testing.T, p place) {
		mustRun(t, newTool(t, p.dir, p.args("tables", "create")...))
		if stdout := importOf(t, p, export, first); strings.Count(stdout, "Company ") != n {
			t.Errorf("import printed %q, want a line for each company of\n%s", stdout, companies)
		}
		if got := listed(p); got != companies {
			t.Errorf("got the companies\n%s\nwant\n%s", got, companies)
		}
		if got, want := sealed.ReplaceAllString(exported(p), ""), sealed.ReplaceAllString(export, ""); got != want {
			t.Errorf("got the export\n%s\nwant\n%s", got, want)
		}
	})
}

func TestExportToFile(t *testing.T) {
	p := place{dir: t.TempDir()}
	mustRun(t, newTool(t, p.dir, "types", "add", "own", "--company", "acme"))
	export := []string{"export", "--company", "acme", "--export-key-file", exportKey, "--output", "acme.jsonl"}
	stdout, stderr := mustRun(t, newTool(t, p.dir, export...))
	if want := "Exported company acme from .webhooks/webhooks.db: 0 webhooks, 1 event type and 0 API keys.\n"; stdout != "" || stderr != want {
		t.Errorf("export printed %q and %q, want only %q on stderr", stdout, stderr, want)
	}
	checkMode(t, filepath.Join(p.dir, "acme.jsonl"), 0o600)
	checkMode(t, filepath.Join(p.dir, exportKey), 0o600)
	export[4] = "unused.key"
	mustFail(t, newTool(t, p.dir, export...), "acme.jsonl already exists: choose the path of a new file with --output")
	if _, err := os.Stat(filepath.Join(p.dir, "unused.key")); err == nil {
		t.Error("an export that failed left its new key file")
	}
	mustFail(t, newTool(t, p.dir, "restore", "acme.jsonl"), `acme.jsonl is an export and not a backup: use "webhookctl import"`)
	if stdout, _ := mustRun(t, newTool(t, p.dir, "import", "acme.jsonl", "--export-key-file", exportKey)); !strings.Contains(stdout, " 1 event type ") {
		t.Errorf("import printed %q", stdout)
	}
}

// TestImportErrors checks that an import that fails explains why, and never changes existing items.
func TestImportErrors(t *testing.T) {
	p, _, _ := newMoved(t)
	export, decrypted := exportOf(t, p)
	for _, tt := range []struct {
		export, key string
		want        string // a pattern for stderr
	}{
		{export, newKeyFile(t),
			"stdin: .* is not the key file that the export was written with; what has been imported stays: run the import again once this is resolved\n"},
		{strings.Replace(export, `"name":"n"`, `"name":"changed"`, 1), exportKey,
			"^webhook .* already exists with a different name and was left unchanged.\n" +
				"webhookctl: did not import 1 item that exists in .webhooks/webhooks.db with different data: see above\n$"},
	} {
		tool := newTool(t, p.dir, "import", "-", "--export-key-file", tt.key)
		tool.Stdin = strings.NewReader(tt.export)
		if got := start(t, tool).wait(t); got.code != 1 || !regexp.MustCompile(tt.want).MatchString(got.stderr) {
			t.Errorf("got exit code %d, stderr %q, want %s", got.code, got.stderr, tt.want)
		}
	}
	if _, again := exportOf(t, p); again != decrypted {
		t.Errorf("the store has changed from\n%s\nto\n%s", decrypted, again)
	}
}

// newKeyFile returns the path of a new key file.
func newKeyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "new.key")
	_, _, err := seal.LoadOrCreateKeyFile(t.Context(), path, rand.Reader)
	must(t, err)
	return path
}
