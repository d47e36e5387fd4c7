// Package sam_test runs the scripts of this folder as a person does, where something is missing or
// wrong, and against a Docker that only plays. What needs the real SAM CLI and real containers is in
// the script test.
package sam_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// tools gives a PATH with all commands of this machine but some, and with scripts in their place or
// besides.
func tools(t *testing.T, without []string, scripts map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range scripts {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	hidden := map[string]bool{}
	for _, name := range without {
		hidden[name] = true
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // a PATH may name folders that are not there
		}
		for _, entry := range entries {
			if hidden[entry.Name()] {
				continue
			}
			link := filepath.Join(folder, entry.Name())
			if err := os.Symlink(filepath.Join(dir, entry.Name()), link); err != nil && !errors.Is(err, os.ErrExist) {
				t.Fatal(err)
			}
		}
	}
	return "PATH=" + folder
}

// run runs a script and gives its exit code and all that it said.
func run(t *testing.T, environment []string, script string, args ...string) (int, string) {
	t.Helper()
	path, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(append(os.Environ(), "SAM="), environment...)
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// answering is a docker whose daemon answers.
const answering = `case "$1" in version) echo amd64 ;; *) exit 1 ;; esac`

func TestRefusals(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	used := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	const (
		noDocker = "sam: Docker is missing: install it, see https://docs.docker.com/get-docker/\n"
		noDaemon = "sam: Docker is installed, but does not answer: start it, and see that you may use it (docker info tells why not)\n"
		noSAM    = "sam: SAM CLI is missing: install it, see https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/install-sam-cli.html, or install python3 and it is fetched\n"
		noName   = `of CreateWebhookFunction, DeleteWebhookFunction, GetWebhookFunction, ListWebhookTypesFunction, ListWebhooksFunction` + "\n"
	)
	tests := []struct {
		name    string
		without []string
		docker  string // a script; empty for none of its own
		command []string
		want    string
	}{
		{"no Docker: test", []string{"docker"}, "", []string{"test"}, noDocker},
		{"no Docker: local", []string{"docker"}, "", []string{"local", "1"}, noDocker},
		{"no Docker: invoke", []string{"docker"}, "", []string{"invoke", "get-webhook"}, noDocker},
		{"no Docker: dockerd", []string{"docker"}, "", []string{"dockerd", "run", "--", "true"},
			"dockerd: Docker is missing: install it, see https://docs.docker.com/get-docker/\n"},
		{"no daemon", nil, "exit 1", []string{"test"}, noDaemon},
		{"no daemon to start", []string{"dockerd"}, "exit 1", []string{"dockerd", "run", "--", "true"},
			"dockerd: no Docker daemon answers, and there is none to start: install Docker Engine (Debian: apt-get install docker.io)\n"},
		{"another processor", nil, "echo riscv64", []string{"test"},
			"sam: Docker runs on riscv64, and Lambda functions are for arm64 or x86_64\n"},
		{"no SAM CLI", []string{"sam", "python3"}, answering, []string{"test"}, noSAM},
		{"no curl", []string{"curl"}, answering, []string{"test"}, "sam: curl is missing: install it\n"},
		{"no port", nil, answering, []string{"local", "http"}, "sam: the port is a number from 1 to 65535, not \"http\"\n"},
		{"a port too high", nil, answering, []string{"local", "65536"}, "sam: the port is a number from 1 to 65535, not \"65536\"\n"},
		{"a port in use", nil, answering, []string{"local", used},
			"sam: port " + used + " is in use: choose another, as in make sam-local PORT=3001\n"},
		{"no function", nil, answering, []string{"invoke"},
			`sam: there is no function "": say which, as in make sam-invoke FUNCTION=GetWebhookFunction, ` + noName},
		{"an unknown function", nil, answering, []string{"invoke", "Get"},
			`sam: there is no function "Get": say which, as in make sam-invoke FUNCTION=GetWebhookFunction, ` + noName},
		{"no event", nil, answering, []string{"invoke", "GetWebhookFunction", "no.json"}, "sam: there is no file no.json\n"},
		{"no command", nil, answering, []string{"dockerd", "run"}, "dockerd: use: dockerd run -- COMMAND…\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			scripts := map[string]string{}
			if test.docker != "" {
				scripts["docker"] = test.docker
			}
			// A SAM CLI that runs, where none is to be missing.
			environment := []string{tools(t, test.without, scripts), "CI="}
			if test.want != noSAM {
				environment = append(environment, "SAM=true")
			}
			code, out := run(t, environment, test.command[0], test.command[1:]...)
			if code != 1 || out != test.want {
				t.Errorf("exit code %d and\n%swant 1 and\n%s", code, out, test.want)
			}
		})
	}
}

// With a daemon that answers nothing is started.
func TestDockerdThatRuns(t *testing.T) {
	path := tools(t, []string{"dockerd"}, map[string]string{"docker": answering})
	code, out := run(t, []string{path}, "dockerd", "run", "--", "sh", "-c", "echo here; exit 3")
	if code != 3 || out != "here\n" {
		t.Errorf("exit code %d and %q, want that of the command", code, out)
	}
}

// sourced runs a command of lib.sh and gives its exit code and all that it said.
func sourced(t *testing.T, environment []string, command string, args ...string) (int, string) {
	t.Helper()
	words := append([]string{"bash", "-c", "source ./lib.sh && " + command, "-"}, args...)
	return run(t, append([]string{"BASH_ENV="}, environment...), "/usr/bin/env", words...)
}

// TestChoiceOfSAM has a SAM CLI in PATH, which CI does without: there it is the pinned one that is
// tested. Without python3 that cannot be fetched.
func TestChoiceOfSAM(t *testing.T) {
	path := tools(t, []string{"python3"}, map[string]string{"sam": "exit 0"})
	installed := filepath.Join(strings.TrimPrefix(path, "PATH="), "sam") + "\n"
	const refused = "venv: python3 is missing: install it (Debian: apt-get install python3 python3-venv)\n"
	tests := []struct {
		name, ci, sam string
		code          int
		want          string
	}{
		{name: "the installed one", want: installed},
		{name: "CI is false", ci: "false", want: installed},
		{name: "the pinned one in CI", ci: "true", code: 1, want: refused},
		{name: "the one that is named", sam: "true", want: "true\n"},
		{name: "the one that is named, in CI", ci: "true", sam: "true", want: "true\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, out := sourced(t, []string{path, "CI=" + test.ci, "SAM=" + test.sam}, `find_sam && echo "$SAM"`)
			if code != test.code || out != test.want {
				t.Errorf("exit code %d and\n%swant %d and\n%s", code, out, test.code, test.want)
			}
		})
	}
}

const (
	exampleKey = "whk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabscsvvu"
	exampleID  = "wh_01JDD9XV8Q4ZJ0T6Q5Y1Q2W3E4"
)

// TestEvents puts a key and an id into every event as the scripts do.
func TestEvents(t *testing.T) {
	key, id := "whk_"+strings.Repeat("b", 58), "wh_"+strings.Repeat("1", 26)
	events, err := filepath.Glob(filepath.Join("..", "..", "functions", "*", "event.json"))
	if err != nil || len(events) == 0 {
		t.Fatalf("%d events, error %v", len(events), err)
	}
	for _, event := range events {
		t.Run(filepath.Base(filepath.Dir(event)), func(t *testing.T) {
			before, err := os.ReadFile(event)
			if err != nil {
				t.Fatal(err)
			}
			code, after := sourced(t, nil, `event_with "$@"`,
				filepath.Join("functions", filepath.Base(filepath.Dir(event)), "event.json"), key, id)
			want := regexp.MustCompile(`whk_[a-z2-7]{58}`).ReplaceAllString(string(before), key)
			want = regexp.MustCompile(`wh_[0-9A-Z]{26}`).ReplaceAllString(want, id)
			if code != 0 || after != want || !strings.Contains(after, `"Bearer `+key+`"`) {
				t.Errorf("exit code %d and\n%s", code, after)
			}
		})
	}
}

// TestCustomEvents keeps the key and the id of an event that somebody made to try a wrong one.
func TestCustomEvents(t *testing.T) {
	key, id := "whk_"+strings.Repeat("b", 58), "wh_"+strings.Repeat("1", 26)
	otherKey, otherID := "whk_"+strings.Repeat("c", 58), "wh_"+strings.Repeat("2", 26)
	tests := []struct{ name, event, want string }{
		{"the examples'", exampleKey + " " + exampleID + " " + exampleID, key + " " + id + " " + id},
		{"an unknown id", exampleKey + " " + otherID, key + " " + otherID},
		{"a wrong key", otherKey + " " + exampleID, otherKey + " " + id},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			event := filepath.Join(t.TempDir(), "event.json")
			if err := os.WriteFile(event, []byte(test.event+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if code, got := sourced(t, nil, `event_with "$@"`, event, key, id); code != 0 || got != test.want+"\n" {
				t.Errorf("exit code %d and %q, want %q", code, got, test.want)
			}
		})
	}
}
