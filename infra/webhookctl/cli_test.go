package main

import (
	"bytes"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestEveryFlagHasHelpAndVariable walks the whole command line.
func TestEveryFlagHasHelpAndVariable(t *testing.T) {
	parser, err := newParser(&cli{}, new(bytes.Buffer), new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	flags, commands := 0, 0
	err = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		switch node := node.(type) {
		case *kong.Flag:
			flags++
			checkFlag(t, node)
		case *kong.Command:
			if len(node.Children) == 0 {
				commands++
				checkCommand(t, node)
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if flags < 30 || commands != 14 {
		t.Errorf("walked %d flags and %d commands: the rules were not checked on everything", flags, commands)
	}
}

func checkFlag(t *testing.T, flag *kong.Flag) {
	t.Helper()
	if flag.Help == "" {
		t.Errorf("--%s has no help", flag.Name)
	}
	if slices.Contains([]string{"help", "version", "replace"}, flag.Name) { // what is asked for once, not set
		if len(flag.Tag.Envs) != 0 {
			t.Errorf("--%s has the variables %v, want none", flag.Name, flag.Tag.Envs)
		}
		return
	}
	want := "WEBHOOKS_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
	if flag.Name == "allow-network" {
		want += "S" // the variable holds a list
	}
	if len(flag.Tag.Envs) != 1 || flag.Tag.Envs[0] != want {
		t.Errorf("--%s has the variables %v, want %s", flag.Name, flag.Tag.Envs, want)
	}
}

func checkCommand(t *testing.T, command *kong.Command) {
	t.Helper()
	if command.Help == "" || !regexp.MustCompile(`Examples?:\n\n    webhookctl `).MatchString(command.Detail) {
		t.Errorf("%s has no help with an example", command.FullPath())
	}
	for _, argument := range command.Positional {
		if argument.Help == "" {
			t.Errorf("the argument %s of %s has no help", argument.Name, command.FullPath())
		}
	}
}

func TestVariablesEqualFlags(t *testing.T) {
	tests := []struct {
		name    string
		command []string
		flags   []string
		env     map[string]string
		part    func(*cli) any // what the command reads
	}{
		{
			name:    "serve",
			command: []string{"serve"},
			flags: []string{
				"--addr=127.0.0.1:0", "--dev", "--quota=7", "--token-key-file=k", "--tls-check=off", "--ca-file=c",
				"--allow-network=10.0.0.0/8", "--allow-network=fd00::/8",
			},
			env: map[string]string{
				"WEBHOOKS_ADDR": "127.0.0.1:0", "WEBHOOKS_DEV": "true", "WEBHOOKS_QUOTA": "7",
				"WEBHOOKS_TOKEN_KEY_FILE": "k", "WEBHOOKS_TLS_CHECK": "off", "WEBHOOKS_CA_FILE": "c",
				"WEBHOOKS_ALLOW_NETWORKS": "10.0.0.0/8, fd00::/8",
			},
			part: func(f *cli) any { return f.Serve },
		},
		{
			name:    "storage and log",
			command: []string{"tables", "create"},
			flags: []string{
				"--store=dynamodb", "--data=d", "--table-prefix=p-", "--dynamodb-endpoint=http://127.0.0.1:1",
				"--region=eu-west-1", "--log-format=text",
			},
			env: map[string]string{
				"WEBHOOKS_STORE": "dynamodb", "WEBHOOKS_DATA": "d", "WEBHOOKS_TABLE_PREFIX": "p-",
				"WEBHOOKS_DYNAMODB_ENDPOINT": "http://127.0.0.1:1", "WEBHOOKS_REGION": "eu-west-1",
				"WEBHOOKS_LOG_FORMAT": "text",
			},
			part: func(f *cli) any { return []any{f.Storage, f.LogFormat} },
		},
		{
			name:    "serve with KMS",
			command: []string{"serve"},
			flags:   []string{"--kms-key=alias/a", "--kms-endpoint=http://127.0.0.1:1"},
			env:     map[string]string{"WEBHOOKS_KMS_KEY": "alias/a", "WEBHOOKS_KMS_ENDPOINT": "http://127.0.0.1:1"},
			part:    func(f *cli) any { return f.Serve.TokenKeys },
		},
		{
			name:    "export",
			command: []string{"export"},
			flags:   []string{"--company=acme", "--output=o", "--target-token-key-file=k", "--token-key-file=t"},
			env: map[string]string{
				"WEBHOOKS_COMPANY": "acme", "WEBHOOKS_OUTPUT": "o", "WEBHOOKS_TARGET_TOKEN_KEY_FILE": "k", "WEBHOOKS_TOKEN_KEY_FILE": "t",
			},
			part: func(f *cli) any { return f.Export },
		},
		{
			name:    "import",
			command: []string{"import", "-"},
			flags:   []string{"--source-token-key-file=k", "--kms-key=a"},
			env:     map[string]string{"WEBHOOKS_SOURCE_TOKEN_KEY_FILE": "k", "WEBHOOKS_KMS_KEY": "a"},
			part:    func(f *cli) any { return []any{f.Import.SourceTokenKeyFile, f.Import.TokenKeys} },
		},
		{
			name:    "health",
			command: []string{"health"},
			flags:   []string{"--addr=:1", "--wait=30s"},
			env:     map[string]string{"WEBHOOKS_ADDR": ":1", "WEBHOOKS_WAIT": "30s"},
			part:    func(f *cli) any { return f.Health },
		},
		{
			name:    "keys create",
			command: []string{"keys", "create"},
			flags:   []string{"--company=acme", "--permissions=webhooks:read,webhooks:write", "--expires=90m"},
			env: map[string]string{
				"WEBHOOKS_COMPANY": "acme", "WEBHOOKS_PERMISSIONS": "webhooks:read,webhooks:write", "WEBHOOKS_EXPIRES": "90m",
			},
			part: func(f *cli) any { return f.Keys.Create },
		},
		{
			name:    "types add",
			command: []string{"types", "add", "a.b"},
			flags:   []string{"--company=acme", "--description=text, with a comma"},
			env:     map[string]string{"WEBHOOKS_COMPANY": "acme", "WEBHOOKS_DESCRIPTION": "text, with a comma"},
			part:    func(f *cli) any { return f.Types.Add },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			byFlags := tt.part(mustParse(t, append(tt.command, tt.flags...)...))
			if reflect.DeepEqual(byFlags, tt.part(&cli{})) {
				t.Fatal("the flags set nothing, so this compares nothing")
			}
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			if got := tt.part(mustParse(t, tt.command...)); !reflect.DeepEqual(got, byFlags) {
				t.Errorf("\nby flags:     %+v\nby variables: %+v", byFlags, got)
			}
		})
	}
}

func mustParse(t *testing.T, args ...string) *cli {
	t.Helper()
	_, flags, err := parse(args, new(bytes.Buffer), new(bytes.Buffer))
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return flags
}

func TestFlagsOverrideVariables(t *testing.T) {
	t.Setenv("WEBHOOKS_STORE", "dynamodb")
	t.Setenv("WEBHOOKS_ALLOW_NETWORKS", "10.0.0.0/8,192.168.0.0/16")
	t.Setenv("WEBHOOKS_DEV", "true")
	got := mustParse(t, "serve", "--store=sqlite", "--allow-network=fd00::/8", "--dev=false")
	want := []network{network(netip.MustParsePrefix("fd00::/8"))}
	if got.Storage.Store != "sqlite" || got.Serve.Dev || !slices.Equal(got.Serve.AllowNetworks, want) {
		t.Errorf("got %+v", got)
	}
}

func TestHelp(t *testing.T) {
	tests := []struct {
		args []string
		want []string
		not  []string
	}{
		{[]string{"--help"}, []string{"webhookctl serve --dev", "keys create", "types remove", "[$WEBHOOKS_LOG_FORMAT]", "--version"}, nil},
		{[]string{"serve", "--help"}, []string{"Examples:", "[default 127.0.0.1:3000, $WEBHOOKS_ADDR]", "$WEBHOOKS_ALLOW_NETWORKS", "[default 1000,", "made when missing unless", "--region"}, []string{"--version", "${"}},
		{[]string{"keys", "revoke", "--help"}, []string{"within 60 seconds", "[default .webhooks, $WEBHOOKS_DATA]"}, nil},
		{[]string{"export", "--help"}, []string{"encrypts webhook tokens, needed with --target-token-key-file;", "--region"}, []string{"webhook tokens, made", "${"}},
		{[]string{"import", "--help"}, []string{"webhook tokens, made when missing and", "--region"}, []string{"${"}},
		{[]string{"backup", "--help"}, []string{"--data"}, []string{"DynamoDB:"}},
		{[]string{"restore", "--help"}, []string{"--data", "--replace", "revoked since work again"}, []string{"DynamoDB:", "WEBHOOKS_REPLACE"}},
		{[]string{"health", "--help"}, []string{"--addr", "webhookctl health --wait 30s", "[default 0s, $WEBHOOKS_WAIT]"}, []string{"DynamoDB", "--data"}},
		{[]string{"version", "--help"}, []string{"webhookctl version"}, []string{"DynamoDB", "--data"}},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			got, _ := mustRun(t, newTool(t, t.TempDir(), tt.args...))
			unwrapped := strings.Join(strings.Fields(got), " ")
			for _, want := range tt.want {
				if !strings.Contains(unwrapped, want) {
					t.Errorf("there is no %q in\n%s", want, got)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(unwrapped, not) {
					t.Errorf("there is %q in\n%s", not, got)
				}
			}
		})
	}
}

func TestNoCommandPrintsHelp(t *testing.T) {
	help, _ := mustRun(t, newTool(t, t.TempDir(), "--help"))
	got := runTool(t, newTool(t, t.TempDir()))
	if got.code != 1 || got.stdout != help || got.stderr != "" {
		t.Errorf("got exit code %d, stderr %q, stdout\n%s\nwant exit code 1, as for every mistake in a command line, and the help", got.code, got.stderr, got.stdout)
	}
}
