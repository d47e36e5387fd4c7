package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

const (
	readmeFile   = "../../README.md"
	readmeMarker = "<!-- walk-through: held against the service by infra/e2e -->\n```console\n"
	readmeURL    = "http://127.0.0.1:3000"
)

// step is a command of the walk-through and what the README says it prints.
type step struct{ command, output string }

// walkThrough reads the steps of the README. Lines of a command after its first are indented.
func walkThrough(t *testing.T) []step {
	t.Helper()
	text, err := os.ReadFile(readmeFile)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), readmeMarker)
	block, _, closed := strings.Cut(rest, "\n```")
	if !found || !closed {
		t.Fatalf("README.md has no walk-through: it begins with\n%s", readmeMarker)
	}
	var steps []step
	for line := range strings.Lines(block + "\n") {
		last := len(steps) - 1
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case isCommand:
			steps = append(steps, step{command: command})
		case last < 0:
			t.Fatalf("the walk-through begins with %q and not with a command", line)
		case strings.HasPrefix(line, " "):
			steps[last].command += line
		case strings.TrimSpace(line) != "":
			steps[last].output += line
		}
	}
	return steps
}

// testReadme runs the README's walk-through, as a reader would paste it, in an empty company.
func testReadme(t *testing.T, s *suite) {
	s.onlyOwn(t)
	if _, err := exec.LookPath("curl"); err != nil {
		missing(t, "install curl for this case")
	}
	steps := walkThrough(t)
	printedID := regexp.MustCompile(`wh_[0-9A-Z]{26}`)
	id := "" // of the webhook that the walk-through makes
	for _, step := range steps {
		got := s.paste(t, strings.ReplaceAll(step.command, readmeURL, s.url), id)
		if id == "" {
			id = printedID.FindString(got)
		}
		if got, want := withoutChance(got), withoutChance(step.output); got != want {
			t.Errorf("%s\nprints\n%s\nThe README says\n%s", step.command, got, want)
		}
	}
	if len(steps) < 5 || id == "" {
		t.Errorf("the walk-through has %d steps and makes the webhook %q, want a step for each endpoint", len(steps), id)
	}
}

// paste runs a command line of the README, with the variables that it has the reader set, and gives
// what it prints.
func (s *suite) paste(t *testing.T, command, id string) string {
	t.Helper()
	receiver := strings.TrimSuffix(s.receiver, "/webhooks/billing")
	shell := exec.CommandContext(t.Context(), "sh", "-c", command)
	shell.Env = append(os.Environ(), "KEY="+s.keys.other, "RECEIVER="+receiver, "ID="+id, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
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
