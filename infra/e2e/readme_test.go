package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

const (
	readmeFile        = "../../README.md"
	readmeWalkThrough = "<!-- walk-through: held against the service by infra/e2e -->\n```console\n"
	readmeReference   = "<!-- reference: held against the service by infra/e2e -->\n```console\n"
	readmeURL         = "http://127.0.0.1:3000"
)

// step is a command of the README and what it says the command prints.
type step struct{ command, output string }

func readReadme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(readmeFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// readmeSteps reads the steps after a marker. Lines of a command after its first are indented.
func readmeSteps(t *testing.T, marker string) []step {
	t.Helper()
	_, rest, found := strings.Cut(readReadme(t), marker)
	block, _, closed := strings.Cut(rest, "\n```")
	if !found || !closed {
		t.Fatalf("README.md has no block that begins with\n%s", marker)
	}
	var steps []step
	for line := range strings.Lines(block + "\n") {
		last := len(steps) - 1
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case isCommand:
			steps = append(steps, step{command: command})
		case last < 0:
			t.Fatalf("the block begins with %q and not with a command", line)
		case strings.HasPrefix(line, " "):
			steps[last].command += line
		case strings.TrimSpace(line) != "":
			steps[last].output += line
		}
	}
	return steps
}

// testReadme runs the README's commands, as a reader would paste them: the walk-through in an empty
// company, and the reference's example on a service with the flags that the README gives.
func testReadme(t *testing.T, s *suite) {
	s.onlyOwn(t)
	if _, err := exec.LookPath("curl"); err != nil {
		missing(t, "install curl")
	}
	t.Run("walk-through", func(t *testing.T) {
		steps := readmeSteps(t, readmeWalkThrough)
		if id := s.pasteSteps(t, steps, s.keys.other); len(steps) < 5 || id == "" {
			t.Errorf("the walk-through has %d steps and makes the webhook %q, want a step for each endpoint", len(steps), id)
		}
	})
	t.Run("the reference's example", func(t *testing.T) {
		found := regexp.MustCompile("`make run ARGS='([^']+)'` takes the example").FindStringSubmatch(readReadme(t))
		if found == nil {
			t.Fatal("the README does not say with which flags the service takes the reference's example")
		}
		offline := s.own.another(t, s, append([]string{"--dev"}, strings.Fields(found[1])...)...) // as make run has it
		steps := readmeSteps(t, readmeReference)
		if offline.pasteSteps(t, steps, offline.keys.both) == "" || !sameJSON(t, steps[0].command, referenceRequest) {
			t.Errorf("this does not make the webhook of the reference: %q", steps)
		}
	})
}

// sameJSON reports whether a command's body, in single quotes, is a text but for the space in it.
func sameJSON(t *testing.T, command, text string) bool {
	t.Helper()
	_, body, _ := strings.Cut(command, "-d '")
	body, _, _ = strings.Cut(body, "'")
	var got, want bytes.Buffer
	if err := errors.Join(json.Compact(&got, []byte(body)), json.Compact(&want, []byte(text))); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return got.String() == want.String()
}

// pasteSteps runs steps with a key, compares what they print, and gives the id of the first webhook
// that they make.
func (s *suite) pasteSteps(t *testing.T, steps []step, key string) (id string) {
	t.Helper()
	printedID := regexp.MustCompile(`wh_[0-9A-Z]{26}`)
	for _, step := range steps {
		got := s.paste(t, strings.ReplaceAll(step.command, readmeURL, s.url), key, id)
		if id == "" {
			id = printedID.FindString(got)
		}
		if got, want := withoutChance(got), withoutChance(step.output); got != want {
			t.Errorf("%s\nprints\n%s\nThe README says\n%s", step.command, got, want)
		}
	}
	return id
}

// paste runs a command line of the README, with the variables that it has the reader set, and gives
// what it prints.
func (s *suite) paste(t *testing.T, command, key, id string) string {
	t.Helper()
	receiver := strings.TrimSuffix(s.receiver, "/webhooks/billing")
	shell := exec.CommandContext(t.Context(), "sh", "-c", command)
	shell.Env = append(os.Environ(), "KEY="+key, "RECEIVER="+receiver, "ID="+id, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// withoutChance puts a fixed word in the place of what differs from run to run.
func withoutChance(text string) string {
	for _, chance := range []struct{ pattern, word string }{
		{`wh_[0-9A-Z]{26}`, "ID"}, {`whsec_[^"]*`, "TOKEN"}, {`https://127\.0\.0\.1:\d+`, "RECEIVER"},
	} {
		text = regexp.MustCompile(chance.pattern).ReplaceAllString(text, chance.word)
	}
	return strings.TrimSpace(text)
}
