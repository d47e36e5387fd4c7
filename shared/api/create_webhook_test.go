package api_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/webhook"
)

const aURL = "https://hooks.example/in"

// post is a creation with this body.
func post(body string) call { return call{method: http.MethodPost, target: "/webhooks", body: body} }

// with is the body of a creation that has these members in its webhook.
func with(members string) string { return `{"webhook":{` + members + `}}` }

// good is all that a webhook must have; members may follow it.
const good = `"name":"n","url":"` + aURL + `","events":["` + paid + `"]`

func specify(field string) string { return refused(`A valid "` + field + `" must be specified.`) }

// nothingStored checks that a refused creation left nothing behind.
func nothingStored(t *testing.T, w *world, _ reply) {
	w.do(call{target: "/webhooks"}).want(t, 200, list(0, 100, 1, 1))
}

// answers checks the body of a creation, {id} and {token} left open.
func answers(body string) func(*testing.T, *world, reply) {
	pattern := regexp.QuoteMeta(body)
	pattern = strings.Replace(pattern, `\{id\}`, `wh_[0-9A-HJKMNP-TV-Z]{26}`, 1)
	pattern = strings.Replace(pattern, `\{token\}`, `whsec_[A-Za-z0-9+/]{43}=`, 1)
	return func(t *testing.T, _ *world, r reply) {
		if !regexp.MustCompile("^" + pattern + "$").MatchString(r.body) {
			t.Errorf("got %s, want %s", r.body, body)
		}
	}
}

func answer(name, description, events string) func(*testing.T, *world, reply) {
	return answers(`{"id":"{id}","name":"` + name + `","description":"` + description + `","url":"` + aURL +
		`","events":[` + events + `],"token":"{token}"}`)
}

func TestCreateWebhook(t *testing.T) {
	const one = `"` + paid + `"`
	run(t, []row{
		{name: "exactly the six fields, in the reference's order, with the real token",
			call: post(with(good + `,"description":"d"`)), status: 201, check: answer("n", "d", one)},
		{name: "Location is where it is", call: post(with(good)), status: 201,
			check: func(t *testing.T, w *world, r reply) {
				got := w.do(call{target: r.header.Get("Location")})
				if id := strings.TrimPrefix(r.header.Get("Location"), "/webhooks/"); !webhook.ValidID(id) || !strings.Contains(r.body, id) {
					t.Errorf("got Location %q", r.header.Get("Location"))
				}
				got.want(t, 200, "")
			}},
		{name: "the token is shown this once", given: created("a"), call: call{target: "/webhooks/{a}"}, status: 200, body: element("a")},
		{name: "events may be one string", call: post(with(`"name":"n","url":"` + aURL + `","events":"` + paid + `"`)),
			status: 201, check: answer("n", "", one)},
		{name: "duplicates collapse, first-seen order is kept",
			call: post(newBody("n", aURL, beta, paid, beta, failed, paid)), status: 201,
			check: answer("n", "", `"`+beta+`",`+one+`,"`+failed+`"`)},
		{name: "description absent comes back empty", call: post(with(good)), status: 201, check: answer("n", "", one)},
		{name: "description null counts as absent", call: post(with(good + `,"description":null`)), status: 201, check: answer("n", "", one)},
		{name: "description may be empty", call: post(with(good + `,"description":""`)), status: 201, check: answer("n", "", one)},
		{name: "description may be blank, and stays so", call: post(with(good + `,"description":" "`)), status: 201, check: answer("n", " ", one)},
		{name: "unknown fields are ignored, whatever they hold",
			call:   post(`{"id":1e999999,"x":[[[{}]]],"webhook":{` + good + `,"id":"wh_1","token":"t","Name":7,"events2":null}}`),
			status: 201, check: answer("n", "", one)},
		{name: "unknown fields may even be given twice", call: post(`{"x":1,"x":2,"webhook":{` + good + `,"y":1,"y":2}}`),
			status: 201, check: answer("n", "", one)},
		{name: "an escaped field name is that name", call: post(`{"w\u0065bhook":{` + good + `}}`), status: 201, check: answer("n", "", one)},
		{name: "white space around is JSON", call: post(" \r\n\t" + with(good) + "\n "), status: 201, check: answer("n", "", one)},
		{name: "a key that may only write may create", call: call{method: "POST", target: "/webhooks", key: "writer", body: with(good)},
			status: 201, check: answer("n", "", one)},
		{name: "a key that may only read may not", call: call{method: "POST", target: "/webhooks", key: "reader", body: with(good)},
			status: 403, body: refused(`The API key lacks the permission "webhooks:write".`), check: nothingStored},
		{name: "the Content-Type does not matter", status: 201, check: answer("n", "", one),
			call: call{method: "POST", target: "/webhooks", body: with(good), header: http.Header{"Content-Type": {"text/plain; charset=latin1"}}}},
		{name: "the query does not matter", call: call{method: "POST", target: "/webhooks?webhookId=x&%zz", body: with(good)},
			status: 201, check: answer("n", "", one)},
		{name: "a body in chunks, without a length", call: call{method: "POST", target: "/webhooks", reader: chunks(with(good))},
			status: 201, check: answer("n", "", one)},
	})
}

// Step 1 and 2 of the contract: what is missing, null, empty, blank or of the wrong type.
func TestCreateWebhookMissing(t *testing.T) {
	rows := []row{
		{name: "webhook absent", call: post(`{}`), status: 400, body: specify("webhook")},
		{name: "webhook in another case", call: post(`{"Webhook":{` + good + `}}`), status: 400, body: specify("webhook")},
		{name: "name in another case", call: post(with(`"Name":"n","url":"` + aURL + `","events":"e"`)), status: 400, body: specify("name")},
		{name: "everything missing: name first", call: post(with(``)), status: 400, body: specify("name")},
		{name: "then url", call: post(with(`"name":"n"`)), status: 400, body: specify("url")},
		{name: "then events", call: post(with(`"name":"n","url":"u","description":7`)), status: 400, body: specify("events")},
		{name: "then description", call: post(with(`"name":"n","url":"u","events":"e","description":7`)), status: 400, body: specify("description")},
		{name: "types before limits", call: post(with(`"name":"` + strings.Repeat("n", 256) + `","url":"u","events":[]`)), status: 400, body: specify("events")},
		{name: "empty events", call: post(with(`"name":"n","url":"` + aURL + `","events":[]`)), status: 400, body: specify("events")},
	}
	wrong := map[string]string{"null": `null`, "a number": `7`, "a giant number": `1e999999`, "true": `true`, "an array": `["x",{}]`, "an object in an array": `[{}]`}
	blank := map[string]string{
		"empty": `""`, "blank": `" "`, "tabs and line ends": `"\t\r\n\u000b\f"`, "a no-break space": `"\u00a0"`,
		"an ideographic space": `"\u3000"`, "an em space": "\"\u2003\"", "a line separator": `"\u2028"`, "a next line": `"\u0085"`,
	}
	for name, value := range wrong {
		rows = append(rows,
			row{name: "webhook: " + name, call: post(`{"webhook":` + value + `}`), status: 400, body: specify("webhook")},
			row{name: "events entry: " + name, call: post(with(`"name":"n","url":"u","events":["` + paid + `",` + value + `]`)), status: 400, body: specify("events")})
		if value != "null" {
			rows = append(rows, row{name: "description: " + name, call: post(with(good + `,"description":` + value)), status: 400, body: specify("description")})
		}
	}
	wrong["an object"] = `{}`
	for name, value := range merge(wrong, blank) {
		rows = append(rows,
			row{name: "name: " + name, call: post(with(`"name":` + value + `,"url":"u","events":"e"`)), status: 400, body: specify("name")},
			row{name: "url: " + name, call: post(with(`"name":"n","url":` + value + `,"events":"e"`)), status: 400, body: specify("url")},
			row{name: "events: " + name, call: post(with(`"name":"n","url":"u","events":` + value)), status: 400, body: specify("events")})
	}
	for name, value := range blank {
		rows = append(rows,
			row{name: "webhook: " + name, call: post(`{"webhook":` + value + `}`), status: 400, body: specify("webhook")},
			row{name: "events entry: " + name, call: post(with(`"name":"n","url":"u","events":["e",` + value + `]`)), status: 400, body: specify("events")})
	}
	run(t, rows)
}

func merge(a, b map[string]string) map[string]string {
	both := map[string]string{}
	for _, each := range []map[string]string{a, b} {
		for name, value := range each {
			both[name] = value
		}
	}
	return both
}

// Step 3: limits, on what was sent. Every allowed extreme has a row, and what is one beyond it.
func TestCreateWebhookLimits(t *testing.T) {
	const emoji = "\U0001F600" // one character, four bytes, two UTF-16 units
	members := func(name, description, url string, events ...string) call {
		return post(fmt.Sprintf(`{"webhook":{"name":%q,"description":%q,"url":%q,"events":["%s"]}}`,
			name, description, url, strings.Join(events, `","`)))
	}
	longURL := func(length int) string { return aURL + strings.Repeat("/", length-len(aURL)) }
	unknown := refused("Some events are not available")
	run(t, []row{
		{name: "name of 255 characters", call: members(strings.Repeat(emoji, 255), "", aURL, paid), status: 201},
		{name: "name of 256", call: members(strings.Repeat("n", 256), "", aURL, paid), status: 400, body: refused(`"name" must have at most 255 characters.`)},
		{name: "description of 1024 characters", call: members("n", strings.Repeat(emoji, 1024), aURL, paid), status: 201},
		{name: "description of 1025", call: members("n", strings.Repeat("d", 1025), aURL, paid), status: 400, body: refused(`"description" must have at most 1024 characters.`)},
		{name: "url of 2048 bytes", call: members("n", "", longURL(2048), paid), status: 201},
		{name: "url of 2049", call: members("n", "", longURL(2049), paid), status: 400, body: refused(`"url" must have at most 2048 bytes.`)},
		{name: "url's bytes count, not its characters", call: members("n", "", aURL+strings.Repeat("é", 1020), paid), status: 400, body: refused(`"url" must have at most 2048 bytes.`)},
		{name: "40 events", call: members("n", "", aURL, numbered(40)...), status: 422, body: unknown},
		{name: "41 events", call: members("n", "", aURL, numbered(41)...), status: 400, body: refused(`"events" must have at most 40 entries.`)},
		{name: "41 events that would collapse", call: members("n", "", aURL, slices.Repeat([]string{paid}, 41)...), status: 400, body: refused(`"events" must have at most 40 entries.`)},
		{name: "an event of 128 characters", call: members("n", "", aURL, strings.Repeat(emoji, 128)), status: 422, body: unknown},
		{name: "an event of 129", call: members("n", "", aURL, strings.Repeat("e", 129)), status: 400, body: refused(`An entry of "events" must have at most 128 characters.`)},
		{name: "a single event of 129", call: post(with(`"name":"n","url":"u","events":"` + strings.Repeat("e", 129) + `"`)), status: 400,
			body: refused(`An entry of "events" must have at most 128 characters.`)},
		{name: "limits before the url's form", call: members(strings.Repeat("n", 256), "", "ftp://x", paid), status: 400, body: refused(`"name" must have at most 255 characters.`)},
	})
}

func numbered(n int) (events []string) {
	for i := range n {
		events = append(events, fmt.Sprint("e", i))
	}
	return events
}

// Steps 4 to 8 come in this order; each row breaks its own step and all those after it.
func TestCreateWebhookOrder(t *testing.T) {
	quotaOfOne := func(w *world) { w.creator.Quota = 1 }
	badTLS := func(w *world) {
		w.tls.err = webhook.Errorf(webhook.KindInvalid, "TLS certificate validation failed: the certificate has expired")
	}
	key := http.Header{"Idempotency-Key": {"k"}}
	tests := []row{
		{name: "4: the url's form", call: post(newBody("n", "http://hooks.example/", "unknown")), status: 422,
			body: refused("URL format invalid: it must begin with https://")},
		{name: "4: before the idempotency key", status: 422, body: refused("URL format invalid: it must not have a fragment, the part from # on"),
			call: call{method: "POST", target: "/webhooks", header: key, body: newBody("n", aURL+"#f", "unknown")}},
		{name: "5: the idempotency key", call: call{method: "POST", target: "/webhooks", header: key, body: newBody("n", aURL, "unknown")},
			status: 409, body: refused(usedBefore)},
		{name: "6: the events", call: post(newBody("n", aURL, paid, "unknown")), status: 422, body: refused("Some events are not available")},
		{name: "6: events of another company", call: call{method: "POST", target: "/webhooks", key: "rival", body: newBody("n", aURL, alpha)}, status: 422,
			body: refused("Some events are not available")},
		{name: "6: events in another case", call: post(newBody("n", aURL, strings.ToLower(paid))), status: 422, body: refused("Some events are not available")},
		{name: "6: events with a space around", call: post(newBody("n", aURL, " "+paid)), status: 422, body: refused("Some events are not available")},
		{name: "7: the quota", call: post(newBody("n", aURL, paid)), status: 409, body: refused("The company has reached its quota of 1 webhooks.")},
		{name: "8: the certificate", call: call{method: "POST", target: "/webhooks", key: "rival", body: newBody("n", aURL, paid)}, status: 400,
			body: refused("TLS certificate validation failed: the certificate has expired")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, quotaOfOne)
			w.create("a", call{header: key})
			badTLS(w)
			checks := w.tls.checks
			w.do(test.call).want(t, test.status, test.body)
			if wanted := strings.HasPrefix(test.name, "8"); w.tls.checks-checks > 0 != wanted {
				t.Errorf("%d TLS checks", w.tls.checks-checks)
			}
			w.do(call{target: "/webhooks"}).want(t, 200, w.expand(list(1, 100, 1, 1, "a")))
		})
	}
	t.Run("the default quota is 1000", func(t *testing.T) {
		w := newWorld(t)
		w.fill(webhook.DefaultQuota - 1)
		w.do(post(with(good))).want(t, 201, "")
		w.do(post(with(good))).want(t, 409, refused("The company has reached its quota of 1000 webhooks."))
	})
}

// fill stores webhooks of acme without asking the API.
func (w *world) fill(count int) {
	w.t.Helper()
	for i := range count {
		_, err := w.store.store.CreateWebhook(w.t.Context(), webhook.Creation{
			Webhook: webhook.Webhook{
				ID:          webhook.NewID(ulid.MustNew(uint64(i), nil).String()),
				Company:     "acme",
				Name:        "n",
				URL:         aURL,
				Events:      []string{paid},
				SealedToken: []byte{1},
				Version:     1,
				CreatedAt:   time.UnixMilli(int64(i)).UTC(),
			},
			Quota: webhook.DefaultQuota,
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// What is stored is what was sent, with an id of the time that it says.
func TestCreateWebhookStores(t *testing.T) {
	w := newWorld(t)
	w.create("a", call{body: with(`"name":" n ","url":"https://HOOKS.example:443/%7e?q=%C3%A9","description":"d","events":["` + failed + `","` + paid + `"]`)})
	got, err := w.store.store.Webhook(t.Context(), "acme", w.names["{a}"])
	if err != nil {
		t.Fatal(err)
	}
	token, err := w.sealer.Open(t.Context(), "acme", got.ID, got.SealedToken)
	if err != nil || token != w.names["{a.token}"] {
		t.Errorf("the sealed token is not the one answered (%v)", err)
	}
	if got.Name != " n " || got.Description != "d" || got.URL != "https://HOOKS.example:443/%7e?q=%C3%A9" ||
		!slices.Equal(got.Events, []string{failed, paid}) || got.Version != 1 {
		t.Errorf("got %+v", got)
	}
	id := ulid.MustParseStrict(strings.TrimPrefix(got.ID, "wh_"))
	if want := w.clock.Now().UTC().Truncate(time.Millisecond); !got.CreatedAt.Equal(want) || !id.Timestamp().Equal(want) {
		t.Errorf("created at %v, id of %v, want %v", got.CreatedAt, id.Timestamp(), want)
	}
}

func TestTokensAndIDsDiffer(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	for i := range 20 {
		name := fmt.Sprint("w", i)
		w.create(name, call{})
		seen[w.names["{"+name+"}"]], seen[w.names["{"+name+".token}"]] = true, true
	}
	if len(seen) != 40 {
		t.Errorf("got %d different ids and tokens, want 40", len(seen))
	}
}
