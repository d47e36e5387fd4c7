package stack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// deployGuide reads docs/deploy.md.
func deployGuide(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/deploy.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks gives the fenced blocks of a language.
func blocks(text, language string) []string {
	var found []string
	for _, match := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	return found
}

// rows gives the cells of the first column, in backquotes, of the table that follows a header, with
// those of the second.
func rows(t *testing.T, text, header string) map[string]string {
	t.Helper()
	_, table, ok := strings.Cut(text, header+"\n")
	if !ok {
		t.Fatalf("there is no table %q", header)
	}
	cells := make(map[string]string)
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if columns := strings.Split(line, "|"); strings.Contains(columns[1], "`") {
			cells[strings.Trim(columns[1], " `")] = strings.Trim(columns[2], " `")
		}
	}
	return cells
}

// run is a command that the guide runs.
type run struct {
	name      string
	arguments []string
}

// runs executes all shell blocks of the guide in order, in an empty folder, with stand-ins for the
// programs that they call, and gives the calls. So what is wrong in the shell's own language, or a
// variable that nothing sets, fails here.
func runs(t *testing.T) []run {
	t.Helper()
	folder, calls := t.TempDir(), filepath.Join(t.TempDir(), "calls")
	// Each call is written with its arguments ended by unit separators, and a record separator after it.
	standIn := "#!/bin/sh\n{ printf '%s\\037' \"${0##*/}\" \"$@\"; printf '\\036'; } >>" + calls + "\necho answer\n"
	for _, name := range []string{"aws", "sam", "webhookctl", "make", "git", "curl"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(standIn), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	shell := exec.CommandContext(t.Context(), "bash", "-euc", strings.Join(blocks(deployGuide(t), "sh"), "\n"))
	shell.Dir = t.TempDir()
	shell.Env = []string{"PATH=" + folder, "KEY=key", "TOKEN_KEY_ARN=arn"} // what a reader has noted
	if said, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("the guide's commands: %v\n%s", err, said)
	}
	text, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	var all []run
	for record := range strings.SplitSeq(strings.TrimSuffix(string(text), "\x1e"), "\x1e") {
		words := strings.Split(strings.TrimSuffix(record, "\x1f"), "\x1f")
		all = append(all, run{words[0], words[1:]})
	}
	return all
}

// Every command in the guide is one that its program takes.
func TestGuideCommands(t *testing.T) {
	all := runs(t)
	if len(all) < 40 {
		t.Fatalf("%d commands were found", len(all))
	}
	webhookctl := filepath.Join(t.TempDir(), "webhookctl")
	if said, err := exec.CommandContext(t.Context(), "go", "build", "-o", webhookctl, "webhooks/infra/webhookctl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, r := range all {
		var check *exec.Cmd
		switch r.name {
		case "webhookctl": // help comes after the rest has been understood
			check = exec.CommandContext(t.Context(), webhookctl, append(r.arguments, "--help")...)
		case "make":
			check = exec.CommandContext(t.Context(), "make", append([]string{"--dry-run", "--directory", root}, r.arguments...)...)
		default:
			continue
		}
		if said, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s %q: %v\n%s", r.name, r.arguments, err, said)
		}
	}
}

// The same, of the programs that are not ours.
func TestGuideCommandsOfAWS(t *testing.T) {
	var commands [][]string
	seen := make(map[string]bool)
	for _, r := range runs(t) {
		switch text := fmt.Sprint(r); {
		case seen[text]:
		case r.name == "aws":
			commands = append(commands, r.arguments)
		case r.name == "sam":
			check := exec.CommandContext(t.Context(), samTool(t, "sam"), append(r.arguments, "--help")...)
			check.Dir, check.Env = root, append(os.Environ(), "SAM_CLI_TELEMETRY=0")
			if said, err := check.CombinedOutput(); err != nil {
				t.Errorf("sam %q: %v\n%s", r.arguments, err, said)
			}
			seen[text] = true
		}
	}
	if problems := askAWS(t, "commands", commands); problems != "" {
		t.Error(problems)
	}
}

// askAWS has commands.py look something over.
func askAWS(t *testing.T, what string, items any) string {
	t.Helper()
	text, err := json.Marshal(items)
	if err != nil {
		t.Fatal(err)
	}
	check := exec.CommandContext(t.Context(), samTool(t, "python"), "commands.py", what)
	check.Stdin = bytes.NewReader(text)
	said, err := check.Output()
	if err != nil {
		t.Fatalf("commands.py: %v\n%s", err, stderrOf(err))
	}
	return string(said)
}

// The guide's tables name every parameter, with its default, and every alarm.
func TestGuideTables(t *testing.T) {
	guide, stack := deployGuide(t), deploy(t, source(t), nil)
	settings := rows(t, guide, "| Parameter | Default | |")
	for name, p := range stack.Parameters {
		want := fmt.Sprint(p.Default)
		if want == "" {
			want = "none"
		}
		if got, ok := settings[name]; !ok || got != want {
			t.Errorf("the default of %s is %q in the guide and %q in the template", name, got, want)
		}
	}
	if len(settings) != len(stack.Parameters) {
		t.Errorf("the guide has the parameters %q", sorted(settings))
	}
	var names []string
	for _, id := range stack.ofType(t, "AWS::CloudWatch::Alarm") {
		names = append(names, strings.TrimPrefix(stack.text(stack.Resources[id].Properties["AlarmName"]), "test-"))
	}
	slices.Sort(names)
	if got := sorted(rows(t, guide, "| Alarm | It means | Look at |")); !slices.Equal(got, names) {
		t.Errorf("the guide has the alarms %q, the template %q", got, names)
	}
}

// guidePolicies reads the IAM policies of the guide: of whoever deploys, and of whoever uses webhookctl.
func guidePolicies(t *testing.T) (deployer, operator []statement) {
	t.Helper()
	var all [2]struct{ Statement []statement }
	texts := blocks(deployGuide(t), "json")
	if len(texts) != len(all) {
		t.Fatalf("the guide has %d policies", len(texts))
	}
	for i, text := range texts {
		decoder := json.NewDecoder(strings.NewReader(text))
		if err := decoder.Decode(&all[i]); err != nil {
			t.Fatalf("a policy of the guide: %v", err)
		}
	}
	return all[0].Statement, all[1].Statement
}

func actionsOf(statements []statement) []string {
	var all []string
	for _, s := range statements {
		all = append(all, s.Action...)
	}
	slices.Sort(all)
	return all
}

// webhookctl's commands for keys and event types need what the guide's policy allows, no less and no
// more.
func TestGuidePolicyOfOperators(t *testing.T) {
	needed := make(map[string]bool)
	for _, method := range []string{"CreateKey", "Keys", "RevokeKey", "AddEventType", "EventTypes", "RemoveEventType"} {
		for _, action := range storeActions()[method] {
			needed["dynamodb:"+action] = true
		}
	}
	if _, operator := guidePolicies(t); !slices.Equal(actionsOf(operator), sorted(needed)) {
		t.Errorf("the guide allows %q, the commands need %q", actionsOf(operator), sorted(needed))
	}
}
