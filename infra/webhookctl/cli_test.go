package main

import (
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"webhooks/shared/dynamo/dynamotest"
)

// TestFlags checks that every flag has a help text and the environment variable that its name implies.
func TestFlags(t *testing.T) {
	parser, err := newParser(&cli{}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	flags := 0
	err = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		flag, ok := node.(*kong.Flag)
		if !ok || slices.Contains([]string{"help", "version", "replace"}, flag.Name) { // requested for one run only
			return next(nil)
		}
		flags++
		want := "WEBHOOKS_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		if flag.Name == "allow-network" {
			want += "S" // the variable contains a list
		}
		if !slices.Equal(flag.Tag.Envs, []string{want}) || flag.Help == "" || strings.Contains(flag.Help, "${") {
			t.Errorf("--%s has the variables %v and the help %q, want %s and a text", flag.Name, flag.Tag.Envs, flag.Help, want)
		}
		return next(nil)
	})
	if err != nil || flags < 30 {
		t.Errorf("checked %d flags: %v", flags, err)
	}
}

func TestFlagsOverrideVariables(t *testing.T) {
	mustParse := func(args ...string) *cli {
		t.Helper()
		_, flags, err := parse(args, io.Discard, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		return flags
	}
	networks := func(cidrs ...string) (list []network) {
		for _, cidr := range cidrs {
			list = append(list, network(netip.MustParsePrefix(cidr)))
		}
		return list
	}
	t.Setenv("WEBHOOKS_STORE", "dynamodb")
	t.Setenv("WEBHOOKS_ALLOW_NETWORKS", "10.0.0.0/8, 192.168.0.0/16")
	t.Setenv("WEBHOOKS_DEV", "true")
	got := mustParse("serve")
	if got.Storage.Store != "dynamodb" || !got.Serve.Dev || !slices.Equal(got.Serve.AllowNetworks, networks("10.0.0.0/8", "192.168.0.0/16")) {
		t.Errorf("from variables: got %+v", got)
	}
	got = mustParse("serve", "--store=sqlite", "--allow-network=fd00::/8", "--dev=false")
	if got.Storage.Store != "sqlite" || got.Serve.Dev || !slices.Equal(got.Serve.AllowNetworks, networks("fd00::/8")) {
		t.Errorf("from flags: got %+v", got)
	}
}

func TestHelpAndVersion(t *testing.T) {
	help, _ := mustRun(t, newTool(t, t.TempDir(), "--help"))
	if got := runTool(t, newTool(t, t.TempDir())); got.code != 1 || got.stdout != help || got.stderr != "" {
		t.Errorf("without a command: got exit code %d, stderr %q, stdout\n%s\nwant exit code 1 and the help", got.code, got.stderr, got.stdout)
	}
	if health, _ := mustRun(t, newTool(t, t.TempDir(), "health", "--help")); strings.Contains(health, "--data") || !strings.Contains(health, "--wait") {
		t.Errorf("the help for health, which uses no store, is\n%s", health)
	}
	for _, argument := range []string{"version", "--version"} {
		stdout, _ := mustRun(t, newTool(t, t.TempDir(), argument))
		if !regexp.MustCompile(`^webhookctl development \(go1\.\S+, \w+/\w+\)\n$`).MatchString(stdout) {
			t.Errorf("%s printed %q", argument, stdout)
		}
	}
}

// helpFor is the end of every error in the command line itself.
func helpFor(command string) string { return `: run "webhookctl ` + command + `" for help` }

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty.pem"), []byte("no certificate"), 0o600); err != nil {
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
		args string // separated by spaces
		want string
	}{
		{"keys lst", `unexpected argument lst, did you mean "list"?` + helpFor("keys --help")},
		{"keys create", `missing flags: --company=C, --permissions=P,...` + helpFor("keys create --help")},
		{"serve --store memory", `--store must be one of "sqlite","dynamodb" but got "memory"` + helpFor("serve --help")},
		{"serve --data=", `--data is empty: pass the directory to keep data in`},
		{"keys create --company a.b --permissions webhooks:read", `--company "a.b" is not a valid company ID: use 1 to 64 letters, digits, _ and -`},
		{"keys list --company ä", `--company "ä" is not a valid company ID: use 1 to 64 letters, digits, _ and -`},
		{"keys create --company a --permissions webhooks:admin", `--permissions: …`},
		{"keys create --company a --permissions=", `--permissions: …`},
		{"keys create --company a --permissions webhooks:read --expires 30d",
			`--expires: "30d" is not a valid duration: use hours, minutes or seconds, for example 720h for 30 days` + helpFor("keys create --help")},
		{"keys create --company a --permissions webhooks:read --expires=0s",
			`--expires: it must be positive, for example 720h for 30 days` + helpFor("keys create --help")},
		{"keys create --company a --permissions webhooks:read --expires=-1h",
			`--expires: it must be positive, for example 720h for 30 days` + helpFor("keys create --help")},
		{"keys revoke " + unknownID, `key ` + unknownID + ` not found in .webhooks/webhooks.db: run "webhookctl keys list --company acme" to list the keys`},
		{"keys revoke whk_secret", `the argument is not a key ID: key IDs begin with key_, and "webhookctl keys list --company C" lists them`},
		{"keys list whk_secret", `unexpected argument whk_[redacted]` + helpFor("keys list --help")},
		{"types add a,b", `"a,b" is not a valid event type name: use 1 to 128 letters, digits and . _ - : /, and begin with a letter or digit`},
		{"types add a --company a.b", `--company "a.b" is not a valid company ID: use 1 to 64 letters, digits, _ and -`},
		{"types add a --description " + strings.Repeat("x", 1025), `--description must be valid UTF-8 and not exceed 1024 characters`},
		{"types remove a.b", `event type a.b for every company not found in .webhooks/webhooks.db: check the name and --company with "webhookctl types list"`},
		{"types remove a.b --company acme", `event type a.b for company acme not found in …`},
		{"types list --data elsewhere", `elsewhere/webhooks.db does not exist: check --data, or run "webhookctl tables create" to create a new database`},
		{"types list --dynamodb-endpoint http://localhost:8000",
			`--dynamodb-endpoint (or WEBHOOKS_DYNAMODB_ENDPOINT) is set, but the store is sqlite: add --store dynamodb or remove it`},
		{"keys list --company a --table-prefix prod-", `--table-prefix (or WEBHOOKS_TABLE_PREFIX) is set, but the store is sqlite: …`},
		{"serve --region eu-west-1", `--region (or WEBHOOKS_REGION) is set, but the store is sqlite: …`},
		{"backup b.db --region eu-west-1", `--region (or WEBHOOKS_REGION) is set, but the store is sqlite: …`},
		{"types list --store dynamodb --dynamodb-endpoint localhost:8000",
			`--dynamodb-endpoint must be a URL with only a scheme, a host and a port, for example http://127.0.0.1:8000`},
		{"types list --store dynamodb", `no AWS region is set: pass --region or set AWS_REGION`},
		{"types list --store dynamodb --region eu-west-1",
			`no AWS credentials found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or attach a role to the machine: …`},
		{"types list --store dynamodb --dynamodb-endpoint http://127.0.0.1:1",
			`the database does not respond: check that it is running and can be reached: …`},
		{"serve --addr localhost", `--addr "localhost" is not a valid listen address: use host:port, for example 127.0.0.1:3000`},
		{"serve --addr 127.0.0.1:65536", `--addr "127.0.0.1:65536" is not a valid listen address: …`},
		{"serve --addr " + taken.Addr().String(), "cannot listen on " + taken.Addr().String() + ": address already in use: pass another address with --addr (make run: PORT=3001)"},
		{"serve --quota 0", `--quota is 0: it must be at least 1`},
		{"health --wait=-1s", `--wait is -1s: it must not be negative`},
		{"serve --allow-network 10.0.0.1", `--allow-network: …`},
		{"serve --addr 127.0.0.1:0 --ca-file missing.pem", `--ca-file: open missing.pem: no such file or directory…`},
		{"serve --addr 127.0.0.1:0 --ca-file empty.pem", `--ca-file: empty.pem …`},
	}
	for _, tt := range tests {
		t.Run(tt.args[:min(len(tt.args), 80)], func(t *testing.T) { mustRefuse(t, newTool(t, dir, strings.Split(tt.args, " ")...), tt.want) })
	}
}

// TestRejectedSettingsCreateNothing checks that commands check their settings before they create a
// database or a key that someone would have to back up.
func TestRejectedSettingsCreateNothing(t *testing.T) {
	for _, args := range []string{
		"serve --quota 0", "serve --tls-check off", "serve --ca-file missing.pem", "serve --ca-file " + os.DevNull, "types add a.b",
	} {
		cmd := newTool(t, t.TempDir(), strings.Fields(args)...)
		cmd.Env = append(cmd.Env, "WEBHOOKS_ADDR=127.0.0.1:0")
		if args == "types add a.b" {
			cmd.Env = append(cmd.Env, "WEBHOOKS_TABLE_PREFIX=prod-") // for another store
		}
		mustRefuse(t, cmd, "…")
		if files, err := os.ReadDir(cmd.Dir); err != nil || len(files) != 0 {
			t.Errorf("%s left %v, %v", args, files, err)
		}
	}
}

// TestMissingTables does not concern SQLite, where opening the file creates the tables.
func TestMissingTables(t *testing.T) {
	p := onDynamoDB(t, dynamotest.Endpoint(t))
	for _, command := range [][]string{{"types", "list"}, {"serve", "--addr", "127.0.0.1:0"}} {
		got := runTool(t, newTool(t, p.dir, p.args(command...)...))
		if got.code != 1 || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, `run "webhookctl tables create"`) {
			t.Errorf("%v: got exit code %d, stderr %q, want one line that says what to run", command, got.code, got.stderr)
		}
	}
	mustRun(t, newTool(t, p.dir, p.args("tables", "create")...)) // for the clean-up
}
