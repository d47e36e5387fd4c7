package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"webhooks/shared/access"
)

// fields gives a table's rows, without the heading, each row's columns joined by one blank.
func fields(t *testing.T, table, heading string) []string {
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

const keysHeading = "ID PERMISSIONS CREATED EXPIRES STATUS"

func TestKeys(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		stdout, _ := mustRun(t, newTool(t, p.dir, p.args("tables", "create")...))
		if !strings.HasSuffix(stdout, " is ready.\n") {
			t.Errorf("tables create printed %q", stdout)
		}
		secret, note := mustRun(t, newTool(t, p.dir, p.args("keys", "create", "--company", "acme",
			"--permissions", "webhooks:read,webhooks:write", "--expires", "720h")...))
		if _, err := access.HashSecret(strings.TrimSuffix(secret, "\n")); err != nil {
			t.Errorf("keys create printed %q on stdout: %v", secret, err)
		}
		id := regexp.MustCompile(`key_acme_[0-9A-Z]{26}`).FindString(note)
		if id == "" || !strings.Contains(note, "expires 2") || strings.Contains(note, "whk_") {
			t.Errorf("keys create noted %q", note)
		}
		mustRun(t, newTool(t, p.dir, p.args("keys", "create", "--company", "other", "--permissions", "webhooks:read")...))

		row := listKeys(t, p, "acme")
		want := `^` + id + ` webhooks:read,webhooks:write \S+Z \S+Z active$`
		if len(row) != 1 || !regexp.MustCompile(want).MatchString(row[0]) {
			t.Errorf("keys list: got %q, want one row like %s", row, want)
		}
		if row := listKeys(t, p, "other"); len(row) != 1 || !strings.HasSuffix(row[0], " never active") {
			t.Errorf("keys list of the other company: got %q", row)
		}
		stdout, _ = mustRun(t, newTool(t, p.dir, p.args("keys", "revoke", id)...))
		if want := "Key " + id + " is revoked. Running services refuse it within 60 seconds.\n"; stdout != want {
			t.Errorf("keys revoke: got %q, want %q", stdout, want)
		}
		if row := listKeys(t, p, "acme"); len(row) != 1 || !strings.HasSuffix(row[0], " revoked") {
			t.Errorf("keys list after the revocation: got %q", row)
		}
	})
}

func listKeys(t *testing.T, p place, company string) []string {
	t.Helper()
	stdout, _ := mustRun(t, newTool(t, p.dir, p.args("keys", "list", "--company", company)...))
	return fields(t, stdout, keysHeading)
}

func TestExpiredKeyIsListedAsSuch(t *testing.T) {
	p := place{dir: t.TempDir()}
	mustRun(t, newTool(t, p.dir, "keys", "create", "--company", "acme", "--permissions", "webhooks:read", "--expires", "1ms"))
	if row := listKeys(t, p, "acme"); len(row) != 1 || !strings.HasSuffix(row[0], "Z expired") {
		t.Errorf("got %q", row)
	}
}

func TestNoKeys(t *testing.T) {
	p := place{dir: t.TempDir()}
	mustRun(t, newTool(t, p.dir, "tables", "create"))
	stdout, stderr := mustRun(t, newTool(t, p.dir, "keys", "list", "--company", "acme"))
	if rows := fields(t, stdout, keysHeading); len(rows) != 0 {
		t.Errorf("got %q", rows)
	}
	if want := "Company acme has no keys in .webhooks/webhooks.db.\n"; stderr != want {
		t.Errorf("noted %q, want %q", stderr, want)
	}
}

func TestTypes(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		ready, _ := mustRun(t, newTool(t, p.dir, p.args("tables", "create")...))
		database := strings.TrimSuffix(ready, " is ready.\n")
		for _, step := range []struct {
			args []string
			want string
		}{
			{[]string{"types", "add", "b.second"}, "b.second is available to every company in PLACE.\n"},
			{[]string{"types", "add", "a.third", "--description", "two\nlines"}, "a.third is available to every company in PLACE.\n"},
			{[]string{"types", "add", "own.type", "--company", "acme"}, "own.type is available to company acme in PLACE.\n"},
			{[]string{"types", "remove", "b.second"}, "b.second is no longer available to every company. Webhooks that have it keep it.\n"},
		} {
			want := strings.ReplaceAll(step.want, "PLACE", database)
			if stdout, stderr := mustRun(t, newTool(t, p.dir, p.args(step.args...)...)); stdout != want || stderr != "" {
				t.Errorf("%v: got %q, want %q, noted %q", step.args, stdout, want, stderr)
			}
		}
		checkTypes(t, p, nil, `a\.third every company \S+Z two lines`)
		checkTypes(t, p, []string{"--company", "acme"}, `a\.third every company \S+Z two lines`, `own\.type company acme \S+Z`)

		mustRun(t, newTool(t, p.dir, p.args("types", "add", "b.second")...))
		checkTypes(t, p, nil, `a\.third every company \S+Z two lines`, `b\.second every company \S+Z`)
	})
}

// checkTypes compares "types list" with a pattern for each row.
func checkTypes(t *testing.T, p place, flags []string, want ...string) {
	t.Helper()
	stdout, _ := mustRun(t, newTool(t, p.dir, p.args(append([]string{"types", "list"}, flags...)...)...))
	rows := strings.Join(fields(t, stdout, "NAME FOR ADDED DESCRIPTION"), "\n")
	if !regexp.MustCompile(`^` + strings.Join(want, `\n`) + `$`).MatchString(rows) {
		t.Errorf("types list %v:\n%s\nwant rows like\n%s", flags, rows, strings.Join(want, "\n"))
	}
}

// TestANewDatabaseIsTold has a folder of its own for each command, as a mistyped --data leads to one.
func TestANewDatabaseIsTold(t *testing.T) {
	old := t.TempDir()
	mustRun(t, newTool(t, old, "types", "add", "a.b", "--company", "acme"))
	mustRun(t, newTool(t, old, "export", "--company", "acme", "--output", "acme.jsonl"))
	const begun = "A new database was begun: new/webhooks.db. If you have one already, check --data.\n"
	for _, tt := range []struct {
		args []string
		want int // how often it is told
	}{
		{[]string{"types", "add", "a.b"}, 1},
		{[]string{"keys", "create", "--company", "acme", "--permissions", "webhooks:read"}, 1},
		{[]string{"import", filepath.Join(old, "acme.jsonl")}, 1},
		{[]string{"tables", "create"}, 0}, // which is for that
	} {
		t.Run(tt.args[0], func(t *testing.T) {
			args, dir := append(tt.args, "--data", "new"), t.TempDir()
			for _, want := range []int{tt.want, 0} {
				if _, stderr := mustRun(t, newTool(t, dir, args...)); strings.Count(stderr, begun) != want {
					t.Errorf("noted %q, want it %d times: %q", stderr, want, begun)
				}
			}
		})
	}
}

func TestDataIsPrivate(t *testing.T) {
	dir := t.TempDir()
	mustRun(t, newTool(t, dir, "keys", "create", "--company", "acme", "--permissions", "webhooks:read", "--data", "a/b"))
	for name, want := range map[string]os.FileMode{"a": 0o700, "a/b": 0o700, "a/b/webhooks.db": 0o600} {
		checkMode(t, filepath.Join(dir, name), want)
	}
}

func checkMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Error(err)
	} else if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %o, want %o", path, got, want)
	}
}
