package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"webhooks/shared/dynamo/dynamotest"
)

// helpFor is the end of every error that is in the command line itself.
func helpFor(command string) string { return `: run "webhookctl ` + command + `" for help` }

func TestErrorLines(t *testing.T) {
	const noCertificate = "no certificate"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty.pem"), []byte(noCertificate), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, newTool(t, dir, "tables", "create"))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	const unknownID = "key_acme_01JZ0000000000000000000000"
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no command of a group", []string{"keys"}, `expected one of "create", "list", "revoke"` + helpFor("keys --help")},
		{"unknown command", []string{"keys", "lst"}, `unexpected argument lst, did you mean "list"?` + helpFor("keys --help")},
		{"unknown flag", []string{"serve", "--port", "1"}, `unknown flag --port` + helpFor("serve --help")},
		{"missing flags", []string{"keys", "create"}, `missing flags: --company=C, --permissions=P,...` + helpFor("keys create --help")},
		{"missing name", []string{"types", "add"}, `expected "<name>"` + helpFor("types add --help")},
		{"store", []string{"serve", "--store", "memory"}, `--store must be one of "sqlite","dynamodb" but got "memory"` + helpFor("serve --help")},
		{"empty data", []string{"serve", "--data", ""}, `--data is empty: give the folder to keep data in`},
		{"company", []string{"keys", "create", "--company", "a b", "--permissions", "webhooks:read"}, `--company "a b" is no company id: use 1 to 64 letters, digits, _ and -`},
		{"company of a list", []string{"keys", "list", "--company", "ä"}, `--company "ä" is no company id: use 1 to 64 letters, digits, _ and -`},
		{"permission", []string{"keys", "create", "--company", "a", "--permissions", "webhooks:admin"}, `--permissions: unknown permission "webhooks:admin": use webhooks:read or webhooks:write`},
		{"no permission", []string{"keys", "create", "--company", "a", "--permissions", ""}, `--permissions: no permission: use webhooks:read, webhooks:write or both`},
		{"expiry in days", []string{"keys", "create", "--company", "a", "--permissions", "webhooks:read", "--expires", "30d"}, `--expires: "30d" is no duration: write hours, minutes or seconds, such as 720h for 30 days` + helpFor("keys create --help")},
		{"expiry of nothing", []string{"keys", "create", "--company", "a", "--permissions", "webhooks:read", "--expires", "0s"}, `--expires: it must be longer than nothing, such as 720h for 30 days` + helpFor("keys create --help")},
		{"expiry in the past", []string{"keys", "create", "--company", "a", "--permissions", "webhooks:read", "--expires=-1h"}, `--expires: it must be longer than nothing, such as 720h for 30 days` + helpFor("keys create --help")},
		{"unknown key id", []string{"keys", "revoke", unknownID}, `there is no key ` + unknownID + ` in .webhooks/webhooks.db: see "webhookctl keys list --company acme"`},
		{"key in the place of its id", []string{"keys", "revoke", "whk_secret"}, `that is no key id: those begin with key_, and "webhookctl keys list --company C" shows them`},
		{"key as an argument", []string{"keys", "list", "whk_secret"}, `unexpected argument whk_(left out)` + helpFor("keys list --help")},
		{"type name with a blank", []string{"types", "add", "a b"}, `"a b" is no event type name: use 1 to 128 letters, digits and . _ - : /, a letter or digit first`},
		{"type of no company", []string{"types", "add", "a", "--company", "a b"}, `--company "a b" is no company id: use 1 to 64 letters, digits, _ and -`},
		{"description", []string{"types", "add", "a", "--description", strings.Repeat("x", 1025)}, `--description must be UTF-8 text of at most 1024 characters: shorten it`},
		{"type that there is not", []string{"types", "remove", "a.b"}, `there is no event type a.b that every company has in .webhooks/webhooks.db (for one company's: --company): see "webhookctl types list"`},
		{"company's type that there is not", []string{"types", "remove", "a.b", "--company", "acme"}, `there is no event type a.b of company acme alone in .webhooks/webhooks.db: see "webhookctl types list --company acme"`},
		{"no data", []string{"types", "list", "--data", "elsewhere"}, `there is no elsewhere/webhooks.db: check --data, or run "webhookctl tables create" to begin a new one`},
		{"endpoint without its store", []string{"types", "list", "--dynamodb-endpoint", "http://localhost:8000"}, `--dynamodb-endpoint (or WEBHOOKS_DYNAMODB_ENDPOINT) is given, but the store is sqlite: add --store dynamodb, or leave it out`},
		{"table prefix without its store", []string{"keys", "list", "--company", "a", "--table-prefix", "prod-"}, `--table-prefix (or WEBHOOKS_TABLE_PREFIX) is given, but the store is sqlite: add --store dynamodb, or leave it out`},
		{"region without its store", []string{"serve", "--region", "eu-west-1"}, `--region (or WEBHOOKS_REGION) is given, but the store is sqlite: add --store dynamodb, or leave it out`},
		{"region of a backup", []string{"backup", "b.db", "--region", "eu-west-1"}, `--region (or WEBHOOKS_REGION) is given, but the store is sqlite: add --store dynamodb, or leave it out`},
		{"endpoint", []string{"types", "list", "--store", "dynamodb", "--dynamodb-endpoint", "localhost:8000"}, `--dynamodb-endpoint must be a URL of scheme and host, such as http://127.0.0.1:8000`},
		{"no region", []string{"types", "list", "--store", "dynamodb"}, `no AWS region is set: give --region or set AWS_REGION`},
		{"addr without port", []string{"serve", "--addr", "localhost"}, `--addr "localhost" is no address to listen on: write host and port, such as 127.0.0.1:3000`},
		{"addr with a wrong port", []string{"serve", "--addr", "127.0.0.1:65536"}, `--addr "127.0.0.1:65536" is no address to listen on: write host and port, such as 127.0.0.1:3000`},
		{"addr in use", []string{"serve", "--addr", taken.Addr().String()}, taken.Addr().String() + ` is in use by another program: stop that, or choose another address with --addr (port 0 takes a free one)`},
		{"addr in use by make run", []string{"serve", "--dev", "--addr", taken.Addr().String()}, taken.Addr().String() + ` is in use by another program: stop that, or choose another address with --addr (port 0 takes a free one) (make run ARGS='--addr 127.0.0.1:0')`},
		{"quota below none", []string{"serve", "--quota=-1"}, `--quota is -1: it must be at least 1`},
		{"waiting for less than nothing", []string{"health", "--wait=-1s"}, `--wait is -1s: it must not be less than 0s`},
		{"quota of none", []string{"serve", "--quota", "0"}, `--quota is 0: it must be at least 1`},
		{"network", []string{"serve", "--allow-network", "10.0.0.1"}, `--allow-network: "10.0.0.1" is no network in CIDR form, such as 10.0.0.0/8 or fd00::/8 (10.1.2.3/32 for one address)` + helpFor("serve --help")},
		{"address in a network", []string{"serve", "--allow-network", "10.0.0.1/8"}, `--allow-network: "10.0.0.1/8" is an address inside a network: write 10.0.0.0/8 for the network` + helpFor("serve --help")},
		{"no CA file", []string{"serve", "--addr", "127.0.0.1:0", "--ca-file", "missing.pem"}, `--ca-file: open missing.pem: no such file or directory: give a file with certificates in PEM form`},
		{"CA file without a certificate", []string{"serve", "--addr", "127.0.0.1:0", "--ca-file", "empty.pem"}, `--ca-file: empty.pem has no certificate in it: give a file with certificates in PEM form`},
		{"dev on all addresses", []string{"serve", "--dev", "--addr", ":3000"}, `--dev serves this machine alone, and --addr :3000 can be reached from others: use 127.0.0.1 or leave out --dev`},
		{"dev on another address", []string{"serve", "--dev", "--addr", "10.0.0.1:3000"}, `--dev serves this machine alone, and --addr 10.0.0.1:3000 can be reached from others: use 127.0.0.1 or leave out --dev`},
		{"unchecked on all addresses", []string{"serve", "--store", "dynamodb", "--dynamodb-endpoint", "http://127.0.0.1:1", "--tls-check", "off", "--addr", "0.0.0.0:3397"},
			`--tls-check off is for trying out on one machine alone, and --addr 0.0.0.0:3397 can be reached from others: use 127.0.0.1 or leave out --tls-check`},
		{"dev in AWS", []string{"serve", "--dev", "--store", "dynamodb"}, `--dev makes tables and an API key, which is for a local database alone: give the --dynamodb-endpoint of DynamoDB Local, or leave out --dev`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { mustRefuse(t, newTool(t, dir, tt.args...), tt.want) })
	}
}

// TestRefusedSettingsMakeNothing checks that serve looks at its settings before it makes a database and
// a key that somebody would have to back up.
func TestRefusedSettingsMakeNothing(t *testing.T) {
	for _, flags := range [][]string{{"--quota", "0"}, {"--tls-check", "off"}, {"--ca-file", "missing.pem"}, {"--ca-file", os.DevNull}} {
		cmd := newTool(t, t.TempDir(), append([]string{"serve", "--addr", "127.0.0.1:0"}, flags...)...)
		got := runTool(t, cmd)
		files, err := os.ReadDir(cmd.Dir)
		if got.code != 1 || strings.Count(got.stderr, "\n") != 1 || err != nil || len(files) != 0 {
			t.Errorf("%v: got exit code %d, stderr %q, and it left %v, %v", flags, got.code, got.stderr, files, err)
		}
	}
}

func TestErrorInAVariable(t *testing.T) {
	cmd := newTool(t, t.TempDir(), "serve")
	cmd.Env = append(cmd.Env, "WEBHOOKS_QUOTA=many")
	mustRefuse(t, cmd, `--quota: expected a valid 64 bit int but got "many" (from envar WEBHOOKS_QUOTA="many")`+helpFor("serve --help"))
}

func TestValueInAVariableThatIsNone(t *testing.T) {
	const mustBe = `--tls-check must be one of "enforce","off" but got "no"`
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"by the variable", []string{"serve"}, mustBe + ` (from envar WEBHOOKS_TLS_CHECK="no")` + helpFor("serve --help")},
		{"by the flag as well", []string{"serve", "--tls-check", "no"}, mustBe + helpFor("serve --help")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := newTool(t, t.TempDir(), tt.args...)
			cmd.Env = append(cmd.Env, "WEBHOOKS_TLS_CHECK=no")
			mustRefuse(t, cmd, tt.want)
		})
	}
}

func TestVariableOfAnotherStore(t *testing.T) {
	cmd := newTool(t, t.TempDir(), "types", "add", "a.b")
	cmd.Env = append(cmd.Env, "WEBHOOKS_TABLE_PREFIX=prod-")
	mustRefuse(t, cmd, "--table-prefix (or WEBHOOKS_TABLE_PREFIX) is given, but the store is sqlite: add --store dynamodb, or leave it out")
	if files, err := os.ReadDir(cmd.Dir); err != nil || len(files) != 0 {
		t.Errorf("it left %v, %v", files, err)
	}
}

func TestNoCredentials(t *testing.T) {
	cmd := newTool(t, t.TempDir(), "types", "list", "--store", "dynamodb", "--region", "eu-west-1")
	got := runTool(t, cmd)
	const want = "webhookctl: no AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role: "
	if got.code != 1 || !strings.HasPrefix(got.stderr, want) || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("got exit code %d, stderr %q, want one line that begins with %q", got.code, got.stderr, want)
	}
}

func TestDatabaseIsAway(t *testing.T) {
	t.Parallel() // it waits for the end of all attempts
	cmd := newTool(t, t.TempDir(), "types", "list", "--store", "dynamodb", "--dynamodb-endpoint", "http://127.0.0.1:1")
	got := runTool(t, cmd)
	const want = "webhookctl: the database does not answer, check that it runs and can be reached: "
	if got.code != 1 || !strings.HasPrefix(got.stderr, want) || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("got exit code %d, stderr %q, want one line that begins with %q", got.code, got.stderr, want)
	}
}

// TestTablesAreMissing needs no SQLite: there, opening the file makes the tables.
func TestTablesAreMissing(t *testing.T) {
	p := onDynamoDB(t, dynamotest.Endpoint(t))
	for _, command := range [][]string{{"types", "list"}, {"serve", "--addr", "127.0.0.1:0"}} {
		got := runTool(t, newTool(t, p.dir, p.args(command...)...))
		const want = `webhookctl: there is no table "ctl-`
		if got.code != 1 || !strings.HasPrefix(got.stderr, want) || strings.Count(got.stderr, "\n") != 1 ||
			!strings.Contains(got.stderr, `run "webhookctl tables create"`) {
			t.Errorf("%v: got exit code %d, stderr %q, want one line that begins with %q", command, got.code, got.stderr, want)
		}
	}
	mustRun(t, newTool(t, p.dir, p.args("tables", "create")...)) // for the clean-up
}
