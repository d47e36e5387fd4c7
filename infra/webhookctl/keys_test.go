package main

import (
	"regexp"
	"strings"
	"testing"
)

// TestKeysAndTypes runs commands in this order, with the newest API key on stdin. KEY stands for the ID of acme's key, and NEW for a log line about a new database.
func TestKeysAndTypes(t *testing.T) {
	const keys, types = `ID +PERMISSIONS +CREATED +EXPIRES +LAST USED +LABEL +STATUS\n`, `NAME +FOR +ADDED +DESCRIPTION\n`
	steps := []struct {
		args string // separated by spaces
		want string // a pattern for stdout, "|" and stderr
	}{
		{"tables create", `(.* (is|are) ready\.\n)+\|NEW`},
		{"keys list --company acme", keys + `\|Company acme has no keys in .*\n`},
		{"keys create --company acme --permissions webhooks:read,webhooks:write --expires 720h --label Büro:1",
			`whk_\S+\n\|Created key KEY for company acme in .*: webhooks:read,webhooks:write; expires: 2\S+Z\.\nThis is the only time the key itself is shown:\n`},
		{"keys create --company other --permissions webhooks:read", `whk_\S+\n\|.*; expires: never\.\n.*\n`},
		{"keys create --company late --permissions webhooks:read --expires 1ms", `whk_\S+\n\|[^|]*`},
		{"keys list --company acme", keys + `KEY +webhooks:read,webhooks:write +\S+Z +2\S+Z +never +Büro:1 +active\n\|`},
		{"companies list", `COMPANY +WEBHOOKS +K.YS +TYPES\nacme +0 +1 +0\nlate +0 +1 +0\nother +0 +1 +0\n\|`},
		{"keys list", keys + `KEY .*\nkey_late_.*\nkey_other_.*\n\|`},
		{"keys list --company late", keys + `key_late_\S+ +webhooks:read +\S+Z +2\S+Z +never +- +expired\n\|`},
		{"keys revoke KEY", `Revoked key KEY\. Running services reject it within 60 seconds\.\n\|`},
		{"keys list --company acme", keys + `KEY .* revoked\n\|`},
		{"keys create --company json --permissions webhooks:read --expires 30d --label a&b --output json", `\{"id":"key_json_\w+","company":"json","label":"a&b",` +
			`"permissions":\["webhooks:read"\],"created_at":"\S+Z","expires_at":"\S+Z","revoked_at":null,"last_used_on":null,"status":"active","api_key":"whk_\w+"\}\n\|Created key .*\n.*\n`},
		{"keys revoke -", `Revoked key key_json_\w+\. Running services reject it within 60 seconds\.\n\|`},
		{"keys list --company json --output json", `\{"keys":\[\{"id":"key_json_\w+",.*,"revoked_at":"\S+Z","last_used_on":null,"status":"revoked"\}\]\}\n\|`},
		{"keys list --platform", keys + `\|There are no platform keys in .*\n`},
		{"keys create --platform --permissions events:write", `whk_\S+\n\|Created key key_[0-9A-Z]{26} for the platform in .*: events:write; expires: never\.\n.*\n`},
		{"keys list --platform --output json", `\{"keys":\[\{"id":"key_[0-9A-Z]{26}","company":null,.*\}\]\}\n\|`},
		{"keys list", keys + `key_[0-9A-Z]{26} +events:write .*\nKEY .*\nkey_json_.*\n(.*\n)*\|`},
		{"keys revoke -", `Revoked key key_[0-9A-Z]{26}\. Running services reject it within 60 seconds\.\n\|`},
		{"keys list --company nobody --output json", `\{"keys":\[\]\}\n\|Company nobody has no keys in .*\n`},

		{"types list", types + `\|No event types for every company in .*: add one with .*\n`},
		{"types add b.second", `b\.second is available to every company in .*\.\n\|`},
		{"types add a.third --description two\nlines", `a\.third is available to every company in .*\.\n\|`},
		{"types add own.type --company acme", `own\.type is available to company acme in .*\.\n\|`},
		{"types remove b.second", `Removed b\.second for every company\. Existing webhooks keep it\.\n\|`},
		{"types list", types + `a\.third +every company +\S+Z +two lines\n\|`},
		{"types list --company acme", types + `a\.third .*\nown\.type +company acme +\S+Z *\n\|`},
		{"types list --company acme --output json", `\{"types":\[\{"name":"a\.third","company":null,"description":"two\\nlines","added_at":"\S+Z"\},` +
			`\{"name":"own\.type","company":"acme","description":"","added_at":"\S+Z"\}\]\}\n\|`},
		{"companies list --output json", `\{"companies":\[\{"company":"acme","webhooks":0,"api_keys":1,"event_types":1\},.*\]\}\n\|`},
		{"types add b.second", `.*\n\|`},
		{"types list", types + `a\.third .*\nb\.second .*\n\|`},
	}
	eachStore(t, func(t *testing.T, p place) {
		id, created, secret := "", "", ""
		if p.flags == nil { // SQLite
			created = `.*created a new database: if you already have one, check --data.*\n`
		}
		for _, step := range steps {
			args := strings.Split(strings.ReplaceAll(step.args, "KEY", id), " ")
			tool := newTool(t, p.dir, p.args(args...)...)
			tool.Stdin = strings.NewReader(secret + "\n")
			stdout, stderr := mustRun(t, tool)
			if printed := regexp.MustCompile(`whk_\w+`).FindString(stdout); printed != "" {
				secret = printed
			}
			if id == "" {
				id = regexp.MustCompile(`key_acme_[0-9A-Z]{26}`).FindString(stderr)
			}
			want := strings.NewReplacer("KEY", id, "NEW", created).Replace(step.want)
			if !regexp.MustCompile(`^` + want + `$`).MatchString(stdout + "|" + stderr) {
				t.Errorf("%s: got stdout %q, stderr %q, want %s", step.args, stdout, stderr, want)
			}
		}
	})
}
