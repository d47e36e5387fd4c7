package main

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// serverGuide is what people run a server by.
const serverGuide = "../../docs/server.md"

// blocks gives the text of a page's code blocks in a language.
func blocks(t *testing.T, page, language string) string {
	t.Helper()
	found := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllSubmatch(mustRead(t, page), -1)
	if len(found) == 0 {
		t.Fatalf("%s has no code in %s", page, language)
	}
	var text bytes.Buffer
	for _, block := range found {
		text.Write(block[1])
	}
	return text.String()
}

// commandsIn gives the arguments of every webhookctl in a shell's text. There are no quotes there.
func commandsIn(text string) (commands [][]string) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	text = regexp.MustCompile(`\$\([^)]*\)`).ReplaceAllString(text, "date")
	text = regexp.MustCompile(`(?m)^sudo install .*$`).ReplaceAllString(text, "")
	for _, line := range regexp.MustCompile(`(?m)(?:^|[ /])webhookctl ([^|&\n#]*)`).FindAllStringSubmatch(text, -1) {
		commands = append(commands, strings.Fields(line[1]))
	}
	return commands
}

// TestCommandsOfTheServerGuide parses every command that the page tells people to run.
func TestCommandsOfTheServerGuide(t *testing.T) {
	commands := slices.Concat(commandsIn(blocks(t, serverGuide, "sh")), commandsIn(blocks(t, serverGuide, "ini")), commandsIn(blocks(t, serverGuide, "cron")))
	if len(commands) < 12 {
		t.Errorf("found %d commands, which are not all", len(commands))
	}
	for _, args := range commands {
		if _, _, err := parse(args, new(bytes.Buffer), new(bytes.Buffer)); err != nil {
			t.Errorf("webhookctl %s: %v", strings.Join(args, " "), err)
		}
	}
}

// TestVariablesOfTheServerGuide finds variables that no flag has.
func TestVariablesOfTheServerGuide(t *testing.T) {
	known := map[string]bool{}
	parser, err := newParser(&cli{}, new(bytes.Buffer), new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	err = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			for _, variable := range flag.Tag.Envs {
				known[variable] = true
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`WEBHOOKS_[A-Z_]+`).FindAllString(string(mustRead(t, serverGuide)), -1)
	if len(named) < 6 {
		t.Errorf("found %q, which are not all", named)
	}
	for _, variable := range named {
		if !known[variable] {
			t.Errorf("no flag has the variable %s", variable)
		}
	}
}

// TestUnitOfTheServerGuide runs what the unit has systemd run, with its environment.
func TestUnitOfTheServerGuide(t *testing.T) {
	unit := blocks(t, serverGuide, "ini")
	for _, want := range []string{
		"ExecStart=/usr/local/bin/webhookctl serve\n",
		"Environment=WEBHOOKS_DATA=/var/lib/webhooks WEBHOOKS_ADDR=127.0.0.1:3000\n",
		"StateDirectory=webhooks\n", // which is /var/lib/webhooks
		"TimeoutStopSec=40\n",
	} {
		if !strings.Contains(unit, want) {
			t.Errorf("there is no %q in\n%s", want, unit)
		}
	}
	if limit := stopTimeout.Seconds(); limit >= 40 {
		t.Errorf("requests in flight have %v s, and systemd kills after 40", limit)
	}
}

// TestMessagesOfTheServerGuide checks that the lines that the page explains are ones that the
// program writes.
func TestMessagesOfTheServerGuide(t *testing.T) {
	page := strings.Join(strings.Fields(string(mustRead(t, serverGuide))), " ")
	for message, source := range map[string]string{
		"the store does not answer":                     "health.go",
		"a new token key was made: BACK IT UP":          "tokenkeys.go",
		"there is no token key file":                    "tokenkeys.go",
		"is not the token key file of the webhooks":     "tokenkeys.go",
		"this machine trusts no certificate authority":  "service.go",
		"a newer version of this program made the file": "../../shared/sqlite/migrate.go",
	} {
		if !strings.Contains(page, message) || !bytes.Contains(mustRead(t, source), []byte(message)) {
			t.Errorf("%q is not both in the page and in %s", message, source)
		}
	}
}
