package main

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/seal"
)

// newMoved returns a service on SQLite with event types of the platform and a company, one of them removed, API keys in every
// state, and webhooks, two of whose tokens it returns by ID.
func newMoved(t *testing.T) (p place, key string, tokens map[string]string) {
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
	s, key, _ := newServed(t, p)
	url, _ := receiver(t)
	if status, _, body := s.request(t, "POST", "/webhooks", key, creation(url)); status != 400 {
		t.Fatalf("got %d %s: want the receiver to be untrusted", status, body)
	}
	s.stop(t)
	s = startServer(t, p, "--dev", "--tls-check", "off") // also creates another company
	tokens = map[string]string{}
	for range 2 {
		status, _, body := s.request(t, "POST", "/webhooks", key, creation(url))
		var created struct{ ID, Token string }
		if err := json.Unmarshal([]byte(body), &created); err != nil || status != 201 {
			t.Fatalf("got %d %s, %v", status, body, err)
		}
		tokens[created.ID] = created.Token
	}
	s.stop(t)
	expires := newTool(t, p.dir, "keys", "create", "--company", "acme", "--permissions", "webhooks:read", "--expires", "720h")
	mustRun(t, expires)
	for _, row := range listKeys(t, p, "acme")[1:] {
		mustRun(t, newTool(t, p.dir, "keys", "revoke", strings.Fields(row)[0]))
	}
	return p, key, tokens
}

// exportOf returns the export of a place's company acme, whose key file is exportKey.
func exportOf(t *testing.T, p place, flags ...string) string {
	t.Helper()
	stdout, _ := mustRun(t, newTool(t, p.dir, p.args(append([]string{"export", "--company", "acme", "--export-key-file", exportKey}, flags...)...)...))
	return stdout
}

// exportKey is the key file of all exports, relative to a place's directory.
const exportKey = "export.key"

// importOf imports an export of another place and returns what was printed.
func importOf(t *testing.T, p place, export string, from place, flags ...string) string {
	t.Helper()
	tool := newTool(t, p.dir, p.args(append([]string{"import", "-", "--export-key-file", filepath.Join(from.dir, exportKey)}, flags...)...)...)
	tool.Stdin = strings.NewReader(export)
	stdout, _ := mustRun(t, tool)
	return stdout
}

// withoutTokens replaces the sealed tokens, which differ in every export.
func withoutTokens(export string) string {
	return regexp.MustCompile(`"sealed_token":"[^"]*"`).ReplaceAllString(export, "")
}

// wantTokens opens the tokens in an export of a place with its export key.
func wantTokens(t *testing.T, p place, export string, want map[string]string) {
	t.Helper()
	keys, created, err := seal.LoadOrCreateKeyFile(filepath.Join(p.dir, exportKey), rand.Reader)
	if err != nil || created {
		t.Fatalf("created %v, %v", created, err)
	}
	found := 0
	for line := range strings.Lines(export) {
		var w struct {
			Kind, ID    string
			SealedToken []byte `json:"sealed_token"`
		}
		if err := json.Unmarshal([]byte(line), &w); err != nil {
			t.Fatal(err)
		}
		if w.Kind != "webhook" {
			continue
		}
		if token, err := (seal.Sealer{Keys: keys}).Open(t.Context(), "acme", w.ID, w.SealedToken); err != nil || want[w.ID] != "" && want[w.ID] != token {
			t.Errorf("the token of %s is %q, %v", w.ID, token, err)
		} else if want[w.ID] != "" {
			found++
		}
	}
	if found != len(want) {
		t.Errorf("found %d tokens, want %d", found, len(want))
	}
}

func (p place) keyFile() string { return filepath.Join(p.dir, ".webhooks", "token.key") }

// wantKeyWorks checks that the company's API key still works.
func wantKeyWorks(t *testing.T, p place, key string, flags ...string) {
	t.Helper()
	s := startServer(t, p, flags...)
	defer s.stop(t)
	status, _, body := s.request(t, "GET", "/webhooks", key, "")
	if status != 200 || !strings.HasPrefix(body, `{"entities":"Webhook","count":3,`) {
		t.Errorf("got %d %s, want three webhooks", status, body)
	}
	if status, _, body := s.request(t, "GET", "/webhooks/types", key, ""); body != `["z.first","a.b","RecurringPayments.charge.paid","RecurringPayments.charge.failed","own"]` {
		t.Errorf("got %d %s, want the types in order", status, body)
	}
	checkLog(t, s.stderr.String(), key)
}

// TestMove moves a company from SQLite to DynamoDB and on to another SQLite file. Each store has its own token key, and
// everything else stays the same.
func TestMove(t *testing.T) {
	first, key, tokens := newMoved(t)
	second, third := onDynamoDB(t, dynamotest.Endpoint(t)), place{dir: t.TempDir()}
	mustRun(t, newTool(t, second.dir, second.args("tables", "create")...))
	from, export := first, exportOf(t, first)
	wantTokens(t, first, export, tokens)
	for _, p := range []place{second, third} {
		for _, want := range []string{
			": imported 3 webhooks, 6 event types and 2 API keys; 0 webhooks, 0 event types and 0 API keys already existed.\n",
			": imported 0 webhooks, 0 event types and 0 API keys; 3 webhooks, 6 event types and 2 API keys already existed.\n",
		} {
			if stdout := importOf(t, p, export, from); !strings.HasPrefix(stdout, "Company acme in ") || !strings.HasSuffix(stdout, want) {
				t.Errorf("import printed %q, want it to end with %q", stdout, want)
			}
		}
		checkMode(t, p.keyFile(), 0o600)
		again := exportOf(t, p)
		if withoutTokens(again) != withoutTokens(export) {
			t.Errorf("exported again\n%s\nwant\n%s", again, export)
		}
		wantTokens(t, p, again, tokens)
		wantKeyWorks(t, p, key)
		from, export = p, again
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, mustRead(t, from), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestExportToFile(t *testing.T) {
	p, _, _ := newMoved(t)
	stdout, stderr := mustRun(t, newTool(t, p.dir, "export", "--company", "acme", "--export-key-file", exportKey, "--output", "acme.jsonl"))
	if want := "Exported company acme from .webhooks/webhooks.db: 3 webhooks, 6 event types and 2 API keys.\n"; stdout != "" || stderr != want {
		t.Errorf("printed %q, noted %q, want %q", stdout, stderr, want)
	}
	checkMode(t, filepath.Join(p.dir, "acme.jsonl"), 0o600)
	checkMode(t, filepath.Join(p.dir, exportKey), 0o600)
	if got, want := string(mustRead(t, filepath.Join(p.dir, "acme.jsonl"))), exportOf(t, p); withoutTokens(got) != withoutTokens(want) {
		t.Errorf("the file has\n%s\nwant\n%s", got, want)
	}
	if stdout, _ := mustRun(t, newTool(t, p.dir, "import", "acme.jsonl", "--export-key-file", exportKey)); !strings.Contains(stdout, "imported 0 webhooks, 0 event types and 0 API keys;") {
		t.Errorf("importing it into the same store printed %q", stdout)
	}
	mustRefuse(t, newTool(t, p.dir, "export", "--company", "acme", "--export-key-file", exportKey, "--output", "acme.jsonl"),
		"acme.jsonl already exists: choose the path of a new file with --output")
	mustRefuse(t, newTool(t, p.dir, "export", "--company", "nobody", "--export-key-file", "nobody.key", "--output", "nobody.jsonl"),
		"company nobody has no webhooks, API keys or event types in .webhooks/webhooks.db: check --company")
	for _, name := range []string{"nobody.jsonl", "nobody.key"} {
		if _, err := os.Stat(filepath.Join(p.dir, name)); err == nil {
			t.Errorf("a failed export left %s", name)
		}
	}
}

func TestImportDifferences(t *testing.T) {
	p, _, _ := newMoved(t)
	export := exportOf(t, p)
	tool := newTool(t, p.dir, "import", "-", "--export-key-file", exportKey)
	tool.Stdin = strings.NewReader(strings.Replace(export, `"name":"n"`, `"name":"changed"`, 1))
	got := runTool(t, tool)
	lines := strings.SplitAfter(got.stderr, "\n")
	const want = "webhookctl: 1 item of the export differs from .webhooks/webhooks.db, which was left unchanged: see above\n"
	if got.code != 1 || len(lines) != 3 || !strings.HasSuffix(lines[0], " already exists with a different name and was left unchanged.\n") || lines[1] != want {
		t.Errorf("exit status %d, stderr %q", got.code, got.stderr)
	}
	if again := exportOf(t, p); withoutTokens(again) != withoutTokens(export) {
		t.Errorf("the import changed existing items:\n%s", again)
	}
}

// A damaged export, or a wrong key, stops the import at a line. What was imported stays, and a complete export continues.
func TestImportContinues(t *testing.T) {
	p, _, _ := newMoved(t)
	export := exportOf(t, p)
	target := place{dir: t.TempDir()}
	for _, tt := range []struct{ name, text, keyFile, want string }{
		{"truncated", strings.Join(strings.SplitAfter(export, "\n")[:3], ""), filepath.Join(p.dir, exportKey),
			"stdin: what has been imported stays; run the import again once this is resolved: the export is truncated after line 3: export the company again"},
		{"wrong key", export, writeKey(t, otherKey(t)), "is not the key file that the export was written with"},
	} {
		tool := newTool(t, target.dir, "import", "-", "--export-key-file", tt.keyFile)
		tool.Stdin = strings.NewReader(tt.text)
		if got := runTool(t, tool); got.code != 1 || !strings.Contains(got.stderr, tt.want) {
			t.Errorf("%s: exit status %d, stderr %q, want %q", tt.name, got.code, got.stderr, tt.want)
		}
	}
	if stdout := importOf(t, target, export, p); !strings.HasSuffix(stdout, "0 webhooks, 6 event types and 2 API keys already existed.\n") {
		t.Errorf("printed %q", stdout)
	}
}

// What is rejected at once creates nothing.
func TestImportErrors(t *testing.T) {
	p, _, _ := newMoved(t)
	copyFile(t, filepath.Join(p.dir, ".webhooks", "webhooks.db"), filepath.Join(p.dir, "copy.db"))
	exportOf(t, p)
	key, file := filepath.Join(p.dir, exportKey), filepath.Join(p.dir, "copy.db")
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no file", []string{"import", "missing.jsonl", "--export-key-file", key}, "missing.jsonl does not exist: check the path, or use - for stdin"},
		{"database", []string{"import", file, "--export-key-file", key}, file + `: this is a SQLite database: use "webhookctl restore"`},
		{"empty", []string{"import", "-", "--export-key-file", key}, "stdin: the export is empty"},
		{"no key file", []string{"import", file, "--export-key-file", "no.key"}, "--export-key-file: stat no.key: no such file or directory: pass the path of a key file"},
		{"flags of another store", []string{"import", file, "--export-key-file", key, "--kms-key", "a"}, "--kms-key requires --store dynamodb"},
		{"KMS for serve", []string{"serve", "--kms-key", "a"}, "--kms-key requires --store dynamodb"},
		{"both kinds of keys", []string{"export", "--company", "acme", "--export-key-file", key, "--store", "dynamodb", "--kms-key", "a", "--token-key-file", "b"}, "--kms-key and --token-key-file exclude each other: use one of them"},
		{"KMS endpoint", []string{"serve", "--store", "dynamodb", "--kms-key", "a", "--kms-endpoint", "localhost"}, "--kms-endpoint must be a URL with only a scheme, a host and a port, for example http://127.0.0.1:8000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tool := newTool(t, t.TempDir(), tt.args...)
			mustRefuse(t, tool, tt.want)
			if files, err := os.ReadDir(tool.Dir); err != nil || len(files) != 0 {
				t.Errorf("it created %v, %v", files, err)
			}
		})
	}
}
