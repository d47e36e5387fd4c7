package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"webhooks/shared/access"
)

// rows returns a table's rows without the heading, with one space between columns.
func rows(t *testing.T, table, heading string) []string {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(table, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	if lines[0] != heading {
		t.Fatalf("heading: got %q, want %q", lines[0], heading)
	}
	return lines[1:]
}

// wantRows compares rows with one pattern for each.
func wantRows(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !regexp.MustCompile(`^` + strings.Join(want, `\n`) + `$`).MatchString(strings.Join(got, "\n")) {
		t.Errorf("%s:\n%s\nwant rows like\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func listKeys(t *testing.T, p place, company string) []string {
	t.Helper()
	stdout, _ := mustRun(t, newTool(t, p.dir, p.args("keys", "list", "--company", company)...))
	return rows(t, stdout, "ID PERMISSIONS CREATED EXPIRES STATUS")
}

func TestKeys(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		mustRun(t, newTool(t, p.dir, p.args("tables", "create")...))
		if got := listKeys(t, p, "acme"); len(got) != 0 {
			t.Errorf("before the first key: got %q", got)
		}
		secret, note := mustRun(t, newTool(t, p.dir, p.args("keys", "create", "--company", "acme",
			"--permissions", "webhooks:read,webhooks:write", "--expires", "720h")...))
		if _, err := access.HashSecret(strings.TrimSuffix(secret, "\n")); err != nil {
			t.Errorf("keys create printed %q on stdout: %v", secret, err)
		}
		id := regexp.MustCompile(`key_acme_[0-9A-Z]{26}`).FindString(note)
		if id == "" || !strings.Contains(note, "expires: 2") || strings.Contains(note, "whk_") {
			t.Errorf("keys create noted %q", note)
		}
		mustRun(t, newTool(t, p.dir, p.args("keys", "create", "--company", "other", "--permissions", "webhooks:read")...))
		mustRun(t, newTool(t, p.dir, p.args("keys", "create", "--company", "late", "--permissions", "webhooks:read", "--expires", "1ms")...))

		wantRows(t, "the keys", listKeys(t, p, "acme"), id+` webhooks:read,webhooks:write \S+Z \S+Z active`)
		wantRows(t, "the key of another company", listKeys(t, p, "other"), `key_other_\S+ webhooks:read \S+Z never active`)
		wantRows(t, "an expired key", listKeys(t, p, "late"), `key_late_\S+ webhooks:read \S+Z \S+Z expired`)
		stdout, _ := mustRun(t, newTool(t, p.dir, p.args("keys", "revoke", id)...))
		if want := "Revoked key " + id + ". Running services reject it within 60 seconds.\n"; stdout != want {
			t.Errorf("keys revoke: got %q, want %q", stdout, want)
		}
		wantRows(t, "the revoked key", listKeys(t, p, "acme"), id+` .* revoked`)
		wantRows(t, "the key of another company", listKeys(t, p, "other"), `.* active`)
	})
}

func TestTypes(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		list := func(flags ...string) []string {
			t.Helper()
			stdout, _ := mustRun(t, newTool(t, p.dir, p.args(append([]string{"types", "list"}, flags...)...)...))
			return rows(t, stdout, "NAME FOR ADDED DESCRIPTION")
		}
		ready, _ := mustRun(t, newTool(t, p.dir, p.args("tables", "create")...))
		for _, step := range []struct {
			args []string
			want string
		}{
			{[]string{"types", "add", "b.second"}, "b.second is available to every company in PLACE.\n"},
			{[]string{"types", "add", "a.third", "--description", "two\nlines"}, "a.third is available to every company in PLACE.\n"},
			{[]string{"types", "add", "own.type", "--company", "acme"}, "own.type is available to company acme in PLACE.\n"},
			{[]string{"types", "remove", "b.second"}, "b.second is no longer available to every company. Existing webhooks keep it.\n"},
		} {
			want := strings.ReplaceAll(step.want, "PLACE", strings.TrimSuffix(ready, " is ready.\n"))
			if stdout, stderr := mustRun(t, newTool(t, p.dir, p.args(step.args...)...)); stdout != want || stderr != "" {
				t.Errorf("%v: got %q, want %q, noted %q", step.args, stdout, want, stderr)
			}
		}
		wantRows(t, "types", list(), `a\.third every company \S+Z two lines`)
		wantRows(t, "types of acme", list("--company", "acme"), `a\.third every company \S+Z two lines`, `own\.type company acme \S+Z`)

		mustRun(t, newTool(t, p.dir, p.args("types", "add", "b.second")...))
		wantRows(t, "after adding a type again", list(), `a\.third .*`, `b\.second every company \S+Z`)
	})
}

// TestNewDatabase checks what happens in a new data directory, which may be a mistyped --data.
func TestNewDatabase(t *testing.T) {
	dir := t.TempDir()
	for _, want := range []bool{true, false} {
		_, stderr := mustRun(t, newTool(t, dir, "types", "add", "a.b", "--data", "a/b"))
		if got := strings.Contains(stderr, "created a new database: if you have one already, check --data"); got != want {
			t.Errorf("logged %q, want a line about the new database: %v", stderr, want)
		}
	}
	for name, want := range map[string]os.FileMode{"a": 0o700, "a/b": 0o700, "a/b/webhooks.db": 0o600} {
		checkMode(t, filepath.Join(dir, name), want)
	}
}
