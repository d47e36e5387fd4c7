package infra_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// script runs a command of bash at the top of the repository, and gives what it prints.
func script(t *testing.T, command string, environment ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euc", command)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(string(out))
}

// TestNeeds checks what is started for the tests of a package: no more than they ask for, as that
// takes a minute the first time, and no less, as they would be left out.
func TestNeeds(t *testing.T) {
	const dynamoDB, moto, sam = "WEBHOOKS_TEST_DYNAMODB_ENDPOINT", "WEBHOOKS_TEST_MOTO_ENDPOINT", "WEBHOOKS_TEST_SAM"
	for _, tt := range []struct {
		packages string
		want     []string
	}{
		{"", []string{dynamoDB, moto, sam}},
		{"./...", []string{dynamoDB, moto, sam}},
		{"./shared/webhook/... ./infra/testreport", nil},
		{"./shared/sqlite", nil},
		{"./shared/dynamo", []string{dynamoDB}}, // by another package's helper
		{"./shared/seal", []string{moto}},
		{"./shared/dynamo ./shared/seal", []string{dynamoDB, moto}},
		{"./infra/stack", []string{dynamoDB, moto, sam}},
		{"./there/is/none", nil},
	} {
		t.Run(tt.packages, func(t *testing.T) {
			if got, want := script(t, "infra/tools/needs "+tt.packages), strings.Join(tt.want, "\n"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestCIFalse checks that CI=false is no CI for the scripts that heed it, and for what they run.
func TestCIFalse(t *testing.T) {
	for setting, want := range map[string]string{"false": "none", "": "none", "true": "true", "1": "1"} {
		if got := script(t, `source infra/tools/ci.sh; echo "${CI:-none}"`, "CI="+setting); got != want {
			t.Errorf("CI=%s: got %s, want %s", setting, got, want)
		}
	}
	for _, name := range []string{"tools/e2e", "tools/lint", "tools/test", "sam/lib.sh"} {
		text, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(text), "\nsource infra/tools/ci.sh\n") {
			t.Errorf("infra/%s heeds CI without the rule of ci.sh (%v)", name, err)
		}
	}
}

// TestMakeHelp checks that it has every target that people are to use, and what one needs that not every machine has.
func TestMakeHelp(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	help := script(t, "make help", "MAKEFLAGS=")
	targets := regexp.MustCompile(`(?m)^\.PHONY: (\S+)$`).FindAllSubmatch(makefile, -1)
	if len(targets) < 10 {
		t.Fatalf("the Makefile has only %q", targets)
	}
	for _, target := range targets {
		// go is what the others need, not a command of its own.
		if name := string(target[1]); name != "go" && !regexp.MustCompile(`(?m)^ *make `+name+` +\S`).MatchString(help) {
			t.Errorf("make help has no %s", name)
		}
	}
	for name, want := range map[string]string{"run-dynamodb": "(Java 17 and npm, or Docker)", "webhookctl": ".cache/bin/webhookctl"} {
		if line := regexp.MustCompile(`(?m)^ *make ` + name + ` .*`).FindString(help); !strings.Contains(line, want) {
			t.Errorf("make help says %q, and not %q", line, want)
		}
	}
}

// TestMakeWebhookctl checks that a first build, which takes long, says so before it begins, on stderr, and a later one nothing.
func TestMakeWebhookctl(t *testing.T) {
	const line = "building webhookctl: the first time this takes a minute or two\n"
	makefile, err := filepath.Abs("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	// A go that is new enough and writes, as its -o says, a program that was built after the line.
	const compiler = `#!/bin/sh
if [ "$1" = env ]; then echo go1.99.0; exit; fi
mkdir -p "$(dirname "$3")" && echo built >>"$3" && echo built >&2
`
	if err := os.WriteFile(filepath.Join(folder, "go"), []byte(compiler), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{line + "built\n", "built\n"} {
		build := exec.CommandContext(t.Context(), "make", "--no-print-directory", "-f", makefile, "webhookctl")
		build.Dir = folder
		build.Env = append(os.Environ(), "MAKEFLAGS=", "PATH="+folder+":"+os.Getenv("PATH"))
		var stdout, stderr bytes.Buffer
		build.Stdout, build.Stderr = &stdout, &stderr
		if err := build.Run(); err != nil || stdout.Len() > 0 || stderr.String() != want {
			t.Errorf("%v, stdout %q, stderr %q, want %q", err, &stdout, &stderr, want)
		}
	}
}
