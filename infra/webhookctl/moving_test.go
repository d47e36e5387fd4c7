package main

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/seal"
)

// newMoved is what the tests move: a service on SQLite with types of both levels, one of them
// removed, keys of every state, and two webhooks, whose tokens it gives by their ids.
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
		t.Fatalf("got %d %s: the receiver should not be trusted", status, body)
	}
	s.stop(t)
	s = startServer(t, p, "--dev", "--tls-check", "off") // which makes a key of another company too
	tokens = map[string]string{}
	for range 2 {
		status, _, body := s.request(t, "POST", "/webhooks", key, creation(url))
		var made struct{ ID, Token string }
		if err := json.Unmarshal([]byte(body), &made); err != nil || status != 201 {
			t.Fatalf("got %d %s, %v", status, body, err)
		}
		tokens[made.ID] = made.Token
	}
	s.stop(t)
	expires := newTool(t, p.dir, "keys", "create", "--company", "acme", "--permissions", "webhooks:read", "--expires", "720h")
	mustRun(t, expires)
	for _, row := range listKeys(t, p, "acme")[1:] {
		mustRun(t, newTool(t, p.dir, "keys", "revoke", strings.Fields(row)[0]))
	}
	return p, key, tokens
}

// exportOf gives a place's export of the company acme.
func exportOf(t *testing.T, p place, flags ...string) string {
	t.Helper()
	stdout, _ := mustRun(t, newTool(t, p.dir, p.args(append([]string{"export", "--company", "acme"}, flags...)...)...))
	return stdout
}

// importOf imports an export into a place, and gives what was printed.
func importOf(t *testing.T, p place, export string, flags ...string) string {
	t.Helper()
	tool := newTool(t, p.dir, p.args(append([]string{"import", "-"}, flags...)...)...)
	tool.Stdin = strings.NewReader(export)
	stdout, _ := mustRun(t, tool)
	return stdout
}

// wantTokens opens the tokens in an export with a token key file.
func wantTokens(t *testing.T, export, keyFile string, want map[string]string) {
	t.Helper()
	keys, created, err := seal.LoadOrCreateKeyFile(keyFile, rand.Reader)
	if err != nil || created {
		t.Fatalf("%s: created %v, %v", keyFile, created, err)
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
		token, err := seal.Sealer{Keys: keys}.Open(t.Context(), "acme", w.ID, w.SealedToken)
		switch {
		case err != nil:
			t.Errorf("the token of %s: %v", w.ID, err)
		case want[w.ID] == token:
			found++
		}
	}
	if found != len(want) {
		t.Errorf("%d tokens are as they were shown, want %d", found, len(want))
	}
}

func (p place) keyFile() string { return filepath.Join(p.dir, ".webhooks", "token.key") }

// wantKeyWorks lists the moved company's webhooks with its API key.
func wantKeyWorks(t *testing.T, p place, key string, flags ...string) {
	t.Helper()
	s := startServer(t, p, flags...)
	defer s.stop(t)
	status, _, body := s.request(t, "GET", "/webhooks", key, "")
	if status != 200 || !strings.HasPrefix(body, `{"entities":"Webhook","count":3,`) {
		t.Errorf("got %d %s, want three webhooks", status, body)
	}
	if status, _, body := s.request(t, "GET", "/webhooks/types", key, ""); body != `["z.first","a.b","RecurringPayments.charge.paid","RecurringPayments.charge.failed","own"]` {
		t.Errorf("got %d %s, want the types in their order", status, body)
	}
	checkLog(t, s.stderr.String(), key)
}

// TestMoveThereAndBack moves a company from SQLite to DynamoDB and on to another SQLite file, with the
// token key file: everything stays as it was, letter for letter.
func TestMoveThereAndBack(t *testing.T) {
	first, key, tokens := newMoved(t)
	second, third := onDynamoDB(t, dynamotest.Endpoint(t)), place{dir: t.TempDir()}
	mustRun(t, newTool(t, second.dir, second.args("tables", "create")...))
	export := exportOf(t, first)
	wantTokens(t, export, first.keyFile(), tokens)
	for _, p := range []place{second, third} {
		copyFile(t, first.keyFile(), p.keyFile())
		for _, want := range []string{
			": 3 webhooks, 6 event types and 2 API keys stored, 0 webhooks, 0 event types and 0 API keys there already.\n",
			": 0 webhooks, 0 event types and 0 API keys stored, 3 webhooks, 6 event types and 2 API keys there already.\n",
		} {
			if stdout := importOf(t, p, export); !strings.HasPrefix(stdout, "Company acme in ") || !strings.HasSuffix(stdout, want) {
				t.Errorf("import printed %q, want it to end with %q", stdout, want)
			}
		}
		again := exportOf(t, p)
		if again != export {
			t.Errorf("exported again it is\n%s\nwant\n%s", again, export)
		}
		wantKeyWorks(t, p, key)
		export = again
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

// TestMoveToAnotherTokenKey gives the key of the other side to the import, or to the export.
func TestMoveToAnotherTokenKey(t *testing.T) {
	first, key, tokens := newMoved(t)
	export := exportOf(t, first)

	second := place{dir: t.TempDir()}
	tool := newTool(t, second.dir, "import", "-")
	tool.Stdin = strings.NewReader(export)
	got := runTool(t, tool)
	const want = "it was sealed with a key that is not here: give the token key file of the store that was exported with --source-token-key-file\n"
	if got.code != 1 || got.stdout != "" || !strings.HasPrefix(got.stderr, "webhookctl: stdin: line 10: webhook wh_") || !strings.HasSuffix(got.stderr, want) {
		t.Errorf("without the key: got exit code %d, stdout %q, stderr %q", got.code, got.stdout, got.stderr)
	}
	if files, err := os.ReadDir(second.dir); err != nil || len(files) != 0 {
		t.Errorf("a refused import left %v, %v", files, err)
	}
	importOf(t, second, export, "--source-token-key-file", first.keyFile())
	checkMode(t, second.keyFile(), 0o600)
	wantTokens(t, exportOf(t, second), second.keyFile(), tokens)
	wantKeyWorks(t, second, key)

	wantTokens(t, exportOf(t, second, "--target-token-key-file", first.keyFile()), first.keyFile(), tokens)
}

func TestExportToAFile(t *testing.T) {
	p, _, _ := newMoved(t)
	stdout, stderr := mustRun(t, newTool(t, p.dir, "export", "--company", "acme", "--output", "acme.jsonl"))
	if want := "Company acme in .webhooks/webhooks.db: 3 webhooks, 6 event types and 2 API keys written.\n"; stdout != "" || stderr != want {
		t.Errorf("printed %q, noted %q, want %q", stdout, stderr, want)
	}
	checkMode(t, filepath.Join(p.dir, "acme.jsonl"), 0o600)
	if got, want := string(mustRead(t, filepath.Join(p.dir, "acme.jsonl"))), exportOf(t, p); got != want {
		t.Errorf("the file has\n%s\nwant\n%s", got, want)
	}
	mustRefuse(t, newTool(t, p.dir, "export", "--company", "acme", "--output", "acme.jsonl"),
		"acme.jsonl exists already: give the path of a new file with --output")
	mustRefuse(t, newTool(t, p.dir, "export", "--company", "nobody", "--output", "none.jsonl"),
		"company nobody has nothing in .webhooks/webhooks.db: no webhooks, no API keys, no event types of its own: check --company")
	if _, err := os.Stat(filepath.Join(p.dir, "none.jsonl")); err == nil {
		t.Error("a refused export left a file")
	}
	if stdout, _ := mustRun(t, newTool(t, p.dir, "import", "acme.jsonl")); !strings.Contains(stdout, " 0 webhooks, 0 event types and 0 API keys stored") {
		t.Errorf("importing it where it came from: printed %q", stdout)
	}
}

func TestImportTellsDifferences(t *testing.T) {
	p, _, _ := newMoved(t)
	export := exportOf(t, p)
	tool := newTool(t, p.dir, "import", "-")
	tool.Stdin = strings.NewReader(strings.Replace(export, `"name":"n"`, `"name":"changed"`, 1))
	got := runTool(t, tool)
	lines := strings.SplitAfter(got.stderr, "\n")
	const want = "webhookctl: 1 item of the export differs from what .webhooks/webhooks.db has, which stays as it is: see above\n"
	if got.code != 1 || len(lines) != 3 || !strings.HasSuffix(lines[0], " is there already, differs in name, and stays as it is.\n") || lines[1] != want {
		t.Errorf("got exit code %d, stderr %q", got.code, got.stderr)
	}
	if again := exportOf(t, p); again != export {
		t.Errorf("it changed what is there:\n%s", again)
	}
}

func TestImportErrors(t *testing.T) {
	p, _, _ := newMoved(t)
	if err := os.WriteFile(filepath.Join(p.dir, "half.jsonl"), []byte(strings.Join(strings.SplitAfter(exportOf(t, p), "\n")[:3], "")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no file", []string{"import", "missing.jsonl"}, "there is no missing.jsonl: check the path, or give - for standard input"},
		{"a database", []string{"import", ".webhooks/webhooks.db"}, `.webhooks/webhooks.db: this is an SQLite database: use "webhookctl restore"`},
		{"half a file", []string{"import", "half.jsonl"}, "half.jsonl: line 3: the export is cut off after it: export it anew"},
		{"nothing on stdin", []string{"import", "-"}, "stdin: the export is empty"},
		{"source key that is not there", []string{"import", "half.jsonl", "--source-token-key-file", "no.key"}, "--source-token-key-file: stat no.key: no such file or directory: give the path of a token key file"},
		{"source key that is none", []string{"import", "half.jsonl", "--source-token-key-file", "half.jsonl"}, "token key file half.jsonl: line 1 is not the base64 of 32 bytes: put the file back from its backup, or give another (--source-token-key-file)"},
		{"target key that is not there", []string{"export", "--company", "acme", "--target-token-key-file", "no.key"}, "--target-token-key-file: stat no.key: no such file or directory: give the path of a token key file"},
		{"both kinds of keys", []string{"export", "--company", "acme", "--store", "dynamodb", "--kms-key", "a", "--token-key-file", "b"}, "--kms-key and --token-key-file are given, and tokens have one kind of key: leave one out"},
		{"KMS for SQLite", []string{"import", "half.jsonl", "--kms-key", "a"}, "--kms-key is given, but the store is sqlite: add --store dynamodb, or leave it out"},
		{"KMS for a SQLite service", []string{"serve", "--kms-key", "a"}, "--kms-key is given, but the store is sqlite: add --store dynamodb, or leave it out"},
		{"KMS endpoint", []string{"serve", "--store", "dynamodb", "--kms-key", "a", "--kms-endpoint", "localhost"}, "--kms-endpoint must be a URL with only a scheme, a host and a port, for example http://127.0.0.1:8000"},
	} {
		t.Run(tt.name, func(t *testing.T) { mustRefuse(t, newTool(t, p.dir, tt.args...), tt.want) })
	}
}

// TestRefusedImportLeavesNothing has a folder of its own for each import.
func TestRefusedImportLeavesNothing(t *testing.T) {
	p, _, _ := newMoved(t)
	export := exportOf(t, p)
	half := strings.Join(strings.SplitAfter(export, "\n")[:3], "")
	for _, tt := range []struct {
		name  string
		text  string
		flags []string
	}{
		{"half a file", half, nil},
		{"half a file with its key", half, []string{"--source-token-key-file", p.keyFile()}},
		{"no key", export, nil},
		{"a source key that is not there", export, []string{"--source-token-key-file", "no.key"}},
		{"a token key file that is none", export, []string{"--source-token-key-file", p.keyFile(), "--token-key-file", os.DevNull}},
		{"flags of another store", export, []string{"--source-token-key-file", p.keyFile(), "--table-prefix", "p-"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tool := newTool(t, t.TempDir(), append([]string{"import", "-", "--data", "new"}, tt.flags...)...)
			tool.Stdin = strings.NewReader(tt.text)
			if got := runTool(t, tool); got.code != 1 || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("got exit code %d, stderr %q", got.code, got.stderr)
			}
			if files, err := os.ReadDir(tool.Dir); err != nil || len(files) != 0 {
				t.Errorf("it left %v, %v", files, err)
			}
		})
	}
}
