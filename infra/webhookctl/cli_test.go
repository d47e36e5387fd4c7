package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/alecthomas/kong"

	"webhooks/shared/access"
)

// TestFlags checks that every flag has a help text, and the environment variable that its name implies unless a run must
// request it. Of the commands that call or stand in for other programs, only what they connect with comes from the environment.
func TestFlags(t *testing.T) {
	parser, err := newParser(&cli{}, io.Discard, io.Discard)
	must(t, err)
	command := ""
	must(t, kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if n, ok := node.(*kong.Node); ok {
			command, _, _ = strings.Cut(n.Path(), " ")
		}
		flag, ok := node.(*kong.Flag)
		if !ok {
			return next(nil)
		}
		want := []string{"WEBHOOKS_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))}
		if slices.Contains([]string{"publish", "events", "deliveries", "listen"}, command) && !slices.Contains([]string{"url", "key", "token"}, flag.Name) {
			want = nil
		}
		switch flag.Name {
		case "help", "version", "replace":
			want = nil
		case "allow-network":
			want[0] += "S" // the variable contains a list
		case "output":
			if flag.Enum != "" {
				want = nil // the format; WEBHOOKS_OUTPUT is the file of an export
			}
		}
		if !slices.Equal(flag.Tag.Envs, want) || flag.Help == "" || strings.Contains(flag.Help, "${") {
			t.Errorf("--%s has the variables %v and the help %q, want %v and a text", flag.Name, flag.Tag.Envs, flag.Help, want)
		}
		return next(nil)
	}))
}

func TestFlagsOverrideVariables(t *testing.T) {
	t.Setenv("WEBHOOKS_DEV", "true")
	t.Setenv("WEBHOOKS_ALLOW_NETWORKS", "10.0.0.0/8, 192.168.0.0/16")
	for args, want := range map[string]string{
		"serve": "true 10.0.0.0/8 192.168.0.0/16",
		"serve --dev=false --allow-network=fd00::/8 --allow-network=fd01::/16": "false fd00::/8 fd01::/16",
	} {
		_, flags, err := parse(strings.Fields(args), io.Discard, io.Discard)
		must(t, err)
		got := fmt.Sprint(flags.Serve.Dev)
		for _, n := range flags.Serve.AllowNetworks {
			got += " " + netip.Prefix(n).String()
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", args, got, want)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	if got := start(t, newTool(t, t.TempDir())).wait(t); got.code != 1 || !strings.HasPrefix(got.stdout, "Usage: webhookctl <command>") || got.stderr != "" {
		t.Errorf("without a command: got %+v, want exit code 1 and the help", got)
	}
	for _, arg := range []string{"version", "--version"} {
		stdout, _ := mustRun(t, newTool(t, t.TempDir(), arg))
		if !regexp.MustCompile(`^webhookctl development \(go1\.\S+, \w+/\w+\)\n$`).MatchString(stdout) {
			t.Errorf("%s printed %q", arg, stdout)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	tool := newTool(t, t.TempDir(), "version")
	tool.Env = append(tool.Env, "WEBHOOKS_QOUTA=whsec_secret", "WEBHOOKS_FROBNICATE=1", "WEBHOOKS_COMPANY=acme", "NOT_WEBHOOKS_X=1",
		"WEBHOOKS_SERVICE_HOST=10.0.0.1", "WEBHOOKS_PORT=tcp://10.0.0.1:3000", "WEBHOOKS_PORT_3000_TCP_PROTO=tcp")
	_, stderr := mustRun(t, tool)
	got := regexp.MustCompile(`"msg":"(.*)"\}`).FindAllString(stderr, -1)
	want := []string{
		`"msg":"WEBHOOKS_FROBNICATE is not a setting: run \"webhookctl serve --help\" for the settings"}`,
		`"msg":"WEBHOOKS_QOUTA is not a setting: did you mean WEBHOOKS_QUOTA?"}`,
	}
	if !slices.Equal(got, want) || strings.Count(stderr, "\n") != len(want) {
		t.Errorf("got %s, want %s", stderr, want)
	}
}

// TestCompletion completes command lines in bash.
func TestCompletion(t *testing.T) {
	tool := newTool(t, t.TempDir(), "completion", "bash")
	script, _ := mustRun(t, tool)
	for line, want := range map[string]string{
		"ke":                             "keys",
		"keys r":                         "revoke",
		"--data keys types ":             "add list remove",
		"keys list --store d":            "dynamodb",
		"keys list --store=d":            "dynamodb",
		"keys ":                          "create list revoke",
		"backup ":                        "",
		"serve --tls-check o":            "off",
		"types list --output j":          "json",
		"serve --rate":                   "--rate-limit",
		"export --output /etc/host.con":  "",
		"health --sto":                   "",
		"keys list --company x --output": "--output",
		"completion f":                   "fish",
		"deliveries ":                    "list show retry",
		"deliveries list x --status h":   "held",
		"publish a.b --sto":              "",
	} {
		words := strings.Split(tool.Path+" "+line, " ")
		call := fmt.Sprintf("COMP_WORDS=('%s') COMP_CWORD=%d; _webhookctl; echo \"${COMPREPLY[*]}\"", strings.ReplaceAll(strings.Join(words, "' '"), "=", "' = '"), len(words)-1+2*strings.Count(line, "="))
		shell := exec.CommandContext(t.Context(), "bash", "-c", script+call)
		shell.Env = tool.Env
		got, err := shell.Output()
		if strings.TrimSpace(string(got)) != want || err != nil {
			t.Errorf("%s: completed to %q, %v, want %q", line, got, err, want)
		}
	}
}

// helpFor returns the end of every error in the command line itself.
func helpFor(command string) string { return `: run "webhookctl ` + command + `" for help` }

// TestErrors checks the error of each command, and that commands check everything before they create a
// database or a key that someone would have to back up.
func TestErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	exportKey := newKeyFile(t)
	const unknownID = "key_acme_01JZ0000000000000000000000"
	const forDynamoDB = "is set, but the store is sqlite: add --store dynamodb or remove it"
	const onlySQLite = `backup and restore are only for SQLite: AWS backs up DynamoDB tables, and "webhookctl export" writes their data to a file`
	const newKey = "keys create --company a --permissions webhooks:read "
	validKey, err := access.NewSecret(rand.Reader)
	must(t, err)
	for _, tt := range []struct {
		args string // separated by spaces, after variables
		want string
	}{
		{"frobnicate", `unknown command frobnicate` + helpFor("--help")},
		{"keys", `missing command: use one of create, list, revoke` + helpFor("keys --help")},
		{"events", `missing command: use show` + helpFor("events --help")},
		{"keys lst", `unknown command lst, did you mean "list"? Or run "webhookctl keys --help" for help`},
		{"keys create", `missing --company (or WEBHOOKS_COMPANY) or --platform (or WEBHOOKS_PLATFORM) and --permissions (or WEBHOOKS_PERMISSIONS)` + helpFor("keys create --help")},
		{"keys create --platform", `missing --permissions (or WEBHOOKS_PERMISSIONS)` + helpFor("keys create --help")},
		{newKey + "--platform", `--company and --platform exclude each other: pass only one of them` + helpFor("keys create --help")},
		{"keys create --platform --permissions events:read,webhooks:read", `--permissions: a platform key cannot have webhooks:read: use one or more of events:read,events:write`},
		{"keys revoke key_01JZ0000000000000000000000", `key key_01JZ0000000000000000000000 not found in .webhooks/webhooks.db: run "webhookctl keys list --platform" to list the keys`},
		{"keys revoke", `missing argument <key-id>` + helpFor("keys revoke --help")},
		{"serve --dat x", `unknown flag --dat, did you mean one of "--data", "--dev"? Or run "webhookctl serve --help" for help`},
		{"serve --quota", `--quota needs a value` + helpFor("serve --help")},
		{"serve --quota -1", `--quota needs a value: if "-1" is the value, write --quota=-1` + helpFor("serve --help")},
		{"serve --quota 1k", `--quota: "1k" is not a valid whole number` + helpFor("serve --help")},
		{"serve --allow-network", `--allow-network needs a value` + helpFor("serve --help")},
		{"serve --dev=on", `--dev: "on" is not valid: use true or false` + helpFor("serve --help")},
		{"health --wait 3", `--wait: "3" is not a valid duration: use hours, minutes or seconds, for example 30s` + helpFor("health --help")},
		{newKey + "--expires", `--expires needs a value` + helpFor("keys create --help")},
		{"types list --store mysql", `--store: "mysql" is not valid: use one of sqlite, dynamodb` + helpFor("types list --help")},
		{"completion tcsh", `<shell>: "tcsh" is not valid: use one of bash, zsh, fish` + helpFor("completion --help")},
		{"WEBHOOKS_QUOTA=1k serve", `WEBHOOKS_QUOTA: "1k" is not a valid whole number` + helpFor("serve --help")},
		{"WEBHOOKS_STORE=mysql types list", `WEBHOOKS_STORE: "mysql" is not valid: use one of sqlite, dynamodb` + helpFor("types list --help")},
		{"WEBHOOKS_STORE=mysql types list --store mariadb", `--store: "mariadb" is not valid: …`},
		{"WEBHOOKS_QUOTA=0 serve", `WEBHOOKS_QUOTA is 0: it must be at least 1`},
		{"WEBHOOKS_REGION=eu-west-1 types list", `WEBHOOKS_REGION ` + forDynamoDB},
		{"WEBHOOKS_ALLOW_NETWORKS=10.0.0.1 serve", `WEBHOOKS_ALLOW_NETWORKS: "10.0.0.1" is not a network …`},
		{"serve --data=", `--data is empty: pass the directory to keep data in`},
		{"keys create --company a.b --permissions webhooks:read", `--company "a.b" is not a valid company ID: use 1 to 64 letters, digits, _ and -`},
		{"keys create --company a --permissions webhooks:admin", `--permissions: …`},
		{newKey + "--expires 1w", `--expires: "1w" is not a valid duration: …`},
		{newKey + "--expires 106752d", `--expires: "106752d" is not a valid duration: …`},
		{newKey + "--expires 106751d100h", `--expires: "106751d100h" is not a valid duration: …`},
		{newKey + "--expires 1d-12h", `--expires: "1d-12h" is not a valid duration: …`},
		{newKey + "--expires=0s", `--expires: it must be positive, for example 30d or 12h` + helpFor("keys create --help")},
		{newKey + "--label=", `--label must be 1 to 100 visible characters long`},
		{"keys revoke " + unknownID, `key ` + unknownID + ` not found in .webhooks/webhooks.db: run "webhookctl keys list --company acme" to list the keys`},
		{"keys revoke whk_secret", `the argument is not a key ID: …`},
		{"keys revoke -", `stdin: not an API key: …`},
		{"keys list --company=", `--company "" is not a valid company ID: …`},
		{"export --export-key-file a.key", `no company has webhooks, API keys or event types in .webhooks/webhooks.db: check the store`},
		{"keys list whk_secret", `unexpected argument whk_[redacted]` + helpFor("keys list --help")},
		{"types add a:b", `"a:b" is not a valid event type name: use words of letters, digits, _ and -, joined by single dots, and at most 128 characters`},
		{"types add a --description " + strings.Repeat("x", 1025), `--description must be valid UTF-8 and not exceed 1024 characters`},
		{"types add a.b --company=", `--company "" is not a valid company ID: …`},
		{"WEBHOOKS_COMPANY= types remove a.b", `WEBHOOKS_COMPANY "" is not a valid company ID: …`},
		{"types remove a.b", `event type "a.b" for every company not found in .webhooks/webhooks.db: …`},
		{"types remove a.b --company acme", `event type "a.b" for company acme not found in .webhooks/webhooks.db: …`},
		{"types list", `.webhooks/webhooks.db does not exist: check --data, or run "webhookctl tables create" to create a new database`},
		{"types list --dynamodb-endpoint http://localhost:8000", `--dynamodb-endpoint ` + forDynamoDB},
		{"types list --sqs-endpoint http://localhost:5000", `--sqs-endpoint ` + forDynamoDB},
		{"types add a.b --table-prefix prod-", `--table-prefix ` + forDynamoDB},
		{"export --company a --export-key-file a.key",
			`company a has no webhooks, API keys or event types in .webhooks/webhooks.db: check --company`},
		{"backup b.db", `.webhooks/webhooks.db does not exist: check --data`},
		{"backup b.db --store dynamodb", onlySQLite},
		{"restore b.db --store dynamodb", onlySQLite},
		{"restore -", `restore cannot read from a pipe: write the backup to a file and pass its path`},
		{"restore b.db", `b.db does not exist: check the path of the backup`},
		{"import a.jsonl --export-key-file .", `token key file: read .: is a directory (--export-key-file)`},
		{"import a.jsonl --export-key-file no.key", `--export-key-file no.key does not exist: check the path of the key file`},
		{"import a.jsonl --export-key-file " + exportKey, `a.jsonl does not exist: check the path, or use - for stdin`},
		{"import " + os.DevNull + " --export-key-file " + exportKey, os.DevNull + `: the export is empty`},
		{"import a.jsonl --export-key-file a.key --kms-key a", `--kms-key requires --store dynamodb`},
		{"export --company a --export-key-file a.key --store dynamodb --kms-key a --token-key-file b", `--kms-key and --token-key-file exclude each other: …`},
		{"serve --allowed-origins https://a.example,https://b.example/", `--allowed-origins "https://b.example/" is not an origin: …`},
		{"serve --allowed-origins https://*.example.com", `--allowed-origins "https://*.example.com" is not an origin: …`},
		{"serve --kms-key a", `--kms-key requires --store dynamodb`},
		{"serve --store dynamodb --kms-key a --kms-endpoint localhost", `--kms-endpoint must be a URL with …`},
		{"backup b.db --region eu-west-1", `--region ` + forDynamoDB},
		{"types list --store dynamodb --dynamodb-endpoint localhost:8000", `--dynamodb-endpoint must be a URL with …`},
		{"serve --store dynamodb --sqs-endpoint localhost:5000", `--sqs-endpoint must be a URL with …`},
		{"serve --store dynamodb --dynamodb-endpoint http://127.0.0.1:1", `--dynamodb-endpoint is local, so --sqs-endpoint must be set as well, …`},
		{"types list --store dynamodb", `no AWS region is set: pass --region or set AWS_REGION`},
		{"types list --store dynamodb --region eu-west-1", `no AWS credentials found: …`},
		{"types list --store dynamodb --dynamodb-endpoint http://127.0.0.1:1", `the database does not respond: …`},
		{"serve --addr localhost", `--addr "localhost" is not a valid listen address: use host:port, for example 127.0.0.1:3000`},
		{"serve --addr 127.0.0.1:65536", `--addr "127.0.0.1:65536" is not a valid listen address: …`},
		{"serve --addr " + taken.Addr().String(), "cannot listen on " + taken.Addr().String() + ": address already in use: …"},
		{"serve --addr 127.0.0.1:0 --quota 0", `--quota is 0: it must be at least 1`},
		{"serve --addr 127.0.0.1:0 --tls-check off", `--tls-check off is for local development only: …`},
		{"serve --addr 127.0.0.1:0 --allow-network 10.0.0.1", `--allow-network: …`},
		{"serve --addr 127.0.0.1:0 --ca-file " + os.DevNull, `--ca-file: ` + os.DevNull + ` …`},
		{"health --addr 127.0.0.1:1 --wait 300ms", `the service on 127.0.0.1:1 does not respond: check that it is running, and --addr: …`},
		{"serve --retention 95h", `--retention is 95h0m0s: it must be at least 4d, because deliveries are attempted for up to 84 hours`},
		{"serve --concurrency 0", `--concurrency is 0: it must be from 1 to 1000`},
		{"serve --concurrency 1001", `--concurrency is 1001: it must be from 1 to 1000`},
		{"serve --retry-schedule 5s,0s", `--retry-schedule contains 0s: each wait must be positive and not exceed 84h0m0s`},
		{"serve --retry-schedule 5", `--retry-schedule: "5" is not a valid duration: use hours, minutes or seconds, for example 30s` + helpFor("serve --help")},
		{"WEBHOOKS_RETRY_SCHEDULE=85h serve", `WEBHOOKS_RETRY_SCHEDULE contains 85h0m0s: …`},
		{"publish", `missing argument <type>` + helpFor("publish --help")},
		{"publish a.b {}", `no API key: pass --key or set WEBHOOKS_KEY (there is no development key in .webhooks/dev/api-key)`},
		{"publish a.b {} --url https://hooks.example.com", `no API key: pass --key or set WEBHOOKS_KEY`},
		{"publish a.b {} --url localhost:3000", `--url must be a URL with only a scheme, a host and a port, for example http://127.0.0.1:8000`},
		{"WEBHOOKS_KEY=whk_secret publish a.b {}", `WEBHOOKS_KEY: not an API key: …`},
		{"publish a.b {} --key " + validKey + " --url http://127.0.0.1:1", `the service at http://127.0.0.1:1 does not respond: check that it is running, and --url: …`},
		{"publish a.b [] --key " + validKey, `the data (from the argument) is not a JSON object: use for example '{"amount":1250}'`},
		{"publish a.b null --key " + validKey, `the data (from the argument) is not a JSON object: …`},
		{"publish a.b --key " + validKey, `the data (from stdin) is not a JSON object: …`},
		{"publish a.b --file no.json --key " + validKey, `--file: open no.json: no such file or directory`},
		{"publish a.b {} --file a.json", `the data is specified twice: use either the argument or --file`},
		{"publish a.b {} --count 0", `--count is 0: it must be at least 1`},
		{"publish a.b {} --count 2 --event-key a", `--event-key is for a single event: remove --count`},
		{"publish a.b {} --rate=-1", `--rate is -1: it must be positive`},
		{"deliveries list wh_1 --status lost", `--status: "lost" is not valid: use one of pending, delivered, failed, held` + helpFor("deliveries list --help")},
		{"listen --addr :4000", `--addr :4000 is not a loopback address: use 127.0.0.1, or 0.0.0.0 to receive from Docker containers, too`},
		{"listen --addr " + taken.Addr().String() + " --fail=-1", `--fail is -1: it must not be negative`},
		{"listen --status 99", `--status is 99: it must be a status code from 200 to 599`},
		{"listen --delay=-1s", `--delay is -1s: it must not be negative`},
		{"listen --token secret", `--token is not a webhook's token: it begins with whsec_, followed by base64`},
		{"health --wait=-1s", `--wait is -1s: it must not be negative`},
	} {
		t.Run(tt.args[:min(len(tt.args), 80)], func(t *testing.T) {
			dir, want := t.TempDir(), 0
			if strings.Contains(tt.want, " in .webhooks/webhooks.db: ") {
				mustRun(t, newTool(t, dir, "tables", "create"))
				want = 1
			}
			args := strings.Split(tt.args, " ")
			variables := slices.IndexFunc(args, func(arg string) bool { return !strings.HasPrefix(arg, "WEBHOOKS_") })
			tool := newTool(t, dir, args[variables:]...)
			tool.Env = append(tool.Env, args[:variables]...)
			mustFail(t, tool, tt.want)
			if files, err := os.ReadDir(dir); err != nil || len(files) != want {
				t.Errorf("it left %v, %v", files, err)
			}
		})
	}
}

// nobody is the user that tests run webhookctl as, because permissions do not stop root.
const nobody = 65534

// newPublicDir returns a directory that nobody can use, and a function that makes runs of webhookctl in it run as nobody. If the
// tests do not run as root, it is the same user.
func newPublicDir(t *testing.T) (dir string, asNobody func(tool *exec.Cmd) *exec.Cmd) {
	t.Helper()
	dir = t.TempDir()
	program := filepath.Join(dir, "webhookctl")
	must(t, os.WriteFile(program, mustRead(t, newTool(t, dir).Path), 0o755))
	for _, path := range []string{filepath.Dir(dir), dir} {
		must(t, os.Chmod(path, 0o777))
	}
	return dir, func(tool *exec.Cmd) *exec.Cmd {
		tool.Path = program
		if os.Geteuid() == 0 {
			tool.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
		return tool
	}
}

// TestDatabaseOfAnotherUser runs commands as a user without access to the file or its directory.
func TestDatabaseOfAnotherUser(t *testing.T) {
	for _, closed := range []string{"data", "data/webhooks.db"} {
		dir, asNobody := newPublicDir(t)
		mustRun(t, newTool(t, dir, "types", "add", "a.b", "--data", "data"))
		must(t, os.Chmod(filepath.Join(dir, "data"), 0o755))
		must(t, os.Chmod(filepath.Join(dir, closed), 0))
		t.Cleanup(func() { must(t, os.Chmod(filepath.Join(dir, closed), 0o700)) }) // so that it can be deleted
		for _, args := range []string{"types add a.b", "types list", "backup b.db", "export --company acme --export-key-file acme.key", "serve --addr 127.0.0.1:0"} {
			t.Run(closed+" "+args, func(t *testing.T) {
				tool := asNobody(newTool(t, dir, append(strings.Fields(args), "--data", "data")...))
				mustFail(t, tool, "this user cannot read and write data/webhooks.db: check its mode, and run this as its owner, "+
					"the user that the service runs as (for example sudo -u webhooks webhookctl ...)")
			})
		}
	}
}

// TestReadOnlyDatabase starts the service on files that it cannot write, and lets one become read-only while it runs.
func TestReadOnlyDatabase(t *testing.T) {
	dir, asNobody := newPublicDir(t)
	tool := func(args ...string) *exec.Cmd { return asNobody(newTool(t, dir, append(args, "--data", "data")...)) }
	mustRun(t, tool("tables", "create"))
	const serve, addr = "serve", "--addr=127.0.0.1:0"
	for i, file := range []string{"data", "data/webhooks.db", "data/webhooks.db-wal", "data/webhooks.db-shm"} {
		s := startService(t, tool(serve, addr)) // while it runs, all files exist
		// A new type each time, so that the log is not empty: SQLite resets the mode of an empty log when it connects.
		mustRun(t, tool("types", "add", fmt.Sprintf("type-%d", i)))
		path := filepath.Join(dir, file)
		before, err := os.Stat(path)
		must(t, err)
		must(t, os.Chmod(path, before.Mode()&^0o222))
		want := path + " cannot be written: permission denied"
		healthy := before.IsDir() // its files can still be written
		status, _, body := s.request(t, "GET", "/healthz", "", "")
		if (status == 200) != healthy {
			t.Errorf("/healthz with a read-only %s: got %d %s, want it healthy: %v", file, status, body, healthy)
		}
		s.waitFor(t, "the cause in the log", func() bool { return healthy || strings.Contains(s.stderr.String(), want) })
		if file == "data/webhooks.db" {
			want = "this user cannot read and write data/webhooks.db"
		}
		mustFail(t, tool(serve, addr), want+": check its …")
		must(t, os.Chmod(path, before.Mode()))
		s.stop(t)
	}
}
