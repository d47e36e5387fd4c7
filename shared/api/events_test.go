package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"webhooks/shared/api"
	"webhooks/shared/webhook"
)

const (
	hookID     = "wh_01KAV5X0T2M7Q9R4E8D3C6B1ZF"
	invoice    = `{"invoice":"4711"}`
	aEvent     = `{"event":{"type":"` + paid + `","data":` + invoice + `}}`
	keyed4711  = `{"event":{"type":"` + paid + `","data":` + invoice + `,"key":"4711"}}`
	acceptedAt = "2026-03-04T05:06:07.891Z"
)

// publish is a request to publish events.
func publish(body string) call { return call{method: "POST", target: "/events", body: body} }

// entry is an event of a type that exists, with more fields.
func entry(more string) string { return `{"type":"` + paid + `","data":{}` + more + `}` }

// newEvents returns a fixture in which acme has a webhook, and other has none.
func newEvents(t *testing.T) *fixture {
	f := newFixture(t)
	_, err := f.events.CreateWebhook(t.Context(), webhook.Creation{Webhook: webhook.Webhook{
		ID: hookID, Company: "acme", URL: aURL, Events: []string{paid}, Version: 1, CreatedAt: f.now.Truncate(time.Hour),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.events.AddEventType(t.Context(), webhook.EventType{Name: paid}); err != nil {
		t.Fatal(err)
	}
	return f
}

// published publishes an event and returns its ID.
func (f *fixture) published(c call) string {
	f.t.Helper()
	r := f.do(c)
	var body struct{ ID string }
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || r.status != 202 || r.header.Get("Location") != "/events/"+body.ID {
		f.t.Fatalf("got %d %s, Location %q", r.status, r.body, r.header.Get("Location"))
	}
	return body.ID
}

// delivery returns acme's delivery of an event.
func (f *fixture) delivery(eventID string) webhook.Delivery {
	f.t.Helper()
	page, err := f.events.EventDeliveries(f.t.Context(), "acme", eventID, "", 1, f.now)
	if err != nil || len(page.Deliveries) != 1 {
		f.t.Fatalf("got %+v, %v, want one delivery", page, err)
	}
	return page.Deliveries[0]
}

// record records an attempt of a delivery that began at a time after the event was accepted.
func (f *fixture) record(d webhook.Delivery, after time.Duration, o webhook.Outcome) {
	f.t.Helper()
	o.Ref, o.WebhookVersion = d.Ref, 1
	o.Attempt.Number, o.Attempt.At, o.Attempt.URL = d.Made+1, d.AcceptedAt.Add(after), aURL
	if applied, err := f.events.Record(f.t.Context(), o); err != nil || !applied {
		f.t.Fatalf("Record = %v, %v", applied, err)
	}
}

func TestPublishInvalid(t *testing.T) {
	const notTime = `"timestamp" must be a time in RFC 3339 with an offset, for example 2026-01-02T03:04:05Z.`
	const noCompany = `A valid "company" must be specified.`
	const notKey = `"key" must be 1 to 255 visible ASCII characters.`
	event := func(more string) string { return `{"event":` + entry(more) + `}` }
	batch := func(entries ...string) string { return `{"events":[` + strings.Join(entries, ",") + `]}` }
	large := strings.Repeat("x", 256<<10)
	for _, test := range []struct {
		name, key, header, body string
		status                  int
		message                 string
	}{
		{"no JSON", "", "", `{`, 400, "The request body is not valid JSON: line 1, column 1: unexpected end of JSON input."},
		{"no event", "", "", `{"event":null}`, 400, `A valid "event" must be specified.`},
		{"not an event", "", "", `{"event":[]}`, 400, `A valid "event" must be specified.`},
		{"both", "", "", `{"event":{},"events":[]}`, 400, `Specify "event" or "events", not both.`},
		{"no type", "", "", `{"event":{"data":{}}}`, 400, `A valid "type" must be specified.`},
		{"blank type", "", "", `{"event":{"type":" ","data":{}}}`, 400, `A valid "type" must be specified.`},
		{"long type", "", "", `{"event":{"type":"` + strings.Repeat("é", 129) + `","data":{}}}`, 400, `"type" must not exceed 128 characters.`},
		{"type before data", "", "", `{"event":{}}`, 400, `A valid "type" must be specified.`},
		{"no data", "", "", `{"event":{"type":"a","key":1}}`, 400, `A valid "data" must be specified.`},
		{"data is an array", "", "", `{"event":{"type":"a","data":[]}}`, 400, `A valid "data" must be specified.`},
		{"data twice", "", "", event(`,"data":{}`), 400, `The field "data" appears more than once.`},
		{"data twice, escaped", "", "", event(`,"d\u0061ta":{}`), 400, `The field "data" appears more than once.`},
		{"a number as key", "", "", event(`,"key":1`), 400, notKey},
		{"empty key", "", "", event(`,"key":""`), 400, notKey},
		{"a key with a space", "", "", event(`,"key":"a b","timestamp":1`), 400, notKey},
		{"a long key", "", "", event(`,"key":"` + large[:256] + `"`), 400, notKey},
		{"another key in the header", "", "b", event(`,"key":"a"`), 400, `The header "Idempotency-Key" and "key" must be equal.`},
		{"an invalid key in the header", "", "b c", `{`, 400, `The header "Idempotency-Key" must be 1 to 255 visible ASCII characters.`},
		{"a number as time", "", "", event(`,"timestamp":1`), 400, notTime},
		{"a time without an offset", "", "", event(`,"timestamp":"2026-01-02T03:04:05","company":"a"`), 400, notTime},
		{"a time with one digit", "", "", event(`,"timestamp":"2026-01-02T3:04:05Z"`), 400, notTime},
		{"a time with a comma", "", "", event(`,"timestamp":"2026-01-02T03:04:05,5Z"`), 400, notTime},
		{"a time before 1970", "", "", event(`,"timestamp":"1970-01-01T00:00:00+00:01"`), 400, notTime},
		{"a time after 9999", "", "", event(`,"timestamp":"9999-12-31T23:59:59-00:01"`), 400, notTime},
		{"an invalid company with a platform key", platform, "", event(`,"company":"a.b"`), 400, noCompany},
		{"a batch that is an object", "", "", `{"events":{}}`, 400, `A valid "events" must be specified.`},
		{"an empty batch", "", "", batch(), 400, `A valid "events" must be specified.`},
		{"a key in the header with a batch", "", "a", batch(`1`), 400,
			`The header "Idempotency-Key" cannot be used with "events". Specify the "key" of each event.`},
		{"an invalid entry", "", "", batch(entry(""), `"a"`), 400, "events[1]: The entry must be an object."},
		{"an entry without a type", "", "", batch(entry(""), entry(""), `{"data":{}}`), 400, `events[2]: A valid "type" must be specified.`},
		{"a large entry", "", "", batch(entry(""), entry(`,"key":"`+large+`"`)), 413, "events[1]: An event must not exceed 262144 bytes."},
		{"a key twice", "", "", batch(entry(`,"key":"a"`), entry(`,"key":"b"`), entry(`,"key":"a"`)), 400, `events[2]: The "key" is the same as in events[0].`},
		{"another company's type", "", "", `{"event":{"type":"a","data":{}}}`, 422, "Some events are not available"},
		{"an unknown type in a batch", "", "", batch(entry(""), `{"type":"a","data":{}}`), 422, "events[1]: Some events are not available"},
		{"a used key in a batch", "", "", batch(entry(""), entry(`,"key":"4711"`)), 409, "events[1]: This key was already used for a different event."},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newEvents(t)
			f.published(publish(keyed4711))
			c := publish(test.body)
			c.key, c.idempotencyKey = test.key, test.header
			f.do(c).want(t, test.status, errorBody(test.message))
			page, err := f.events.Deliveries(t.Context(), webhook.DeliveryQuery{Company: "acme", WebhookID: hookID, Limit: 100})
			if err != nil || len(page.Deliveries) != 1 {
				t.Errorf("%d events were accepted, %v", len(page.Deliveries)-1, err)
			}
		})
	}
}

// Receivers get what was sent, except for white space between tokens.
func TestPublishedBody(t *testing.T) {
	f := newEvents(t)
	const data = "{ \"n\" : 1.10e2,\n\"a\":\"\\u00e9 <&> \\/ é\u2028\" , \"b\":12345678901234567890 }"
	compact := strings.NewReplacer("{ ", "{", " : ", ":", "\n", "", " , ", ",", " }", "}").Replace(data)
	for _, test := range []struct{ name, more, timestamp string }{
		{"now", "", acceptedAt},
		{"null", `,"timestamp":null,"key":null,"company":null`, acceptedAt},
		{"a time", `,"timestamp":"2026-01-02T03:04:05.6789+01:00"`, "2026-01-02T02:04:05.678Z"},
	} {
		t.Run(test.name, func(t *testing.T) {
			id := f.published(publish(`{"event":{"type":"` + paid + `","data":` + data + test.more + `}}`))
			got, err := f.events.Event(t.Context(), "acme", id)
			want := `{"type":"` + paid + `","timestamp":"` + test.timestamp + `","data":` + compact + `}`
			if err != nil || string(got.Body) != want || !webhook.ValidULID(strings.TrimPrefix(id, "evt_")) {
				t.Errorf("got %s, %v, want %s", got.Body, err, want)
			}
			f.do(call{target: "/events/" + id}).want(t, 200, `{"id":"`+id+`","key":null,"type":"`+paid+`","timestamp":"`+test.timestamp+
				`","accepted_at":"`+acceptedAt+`","data":`+compact+`,"deliveries":[{"id":"`+f.delivery(id).DeliveryID()+
				`","webhook_id":"`+hookID+`","status":"pending","attempt_count":0}],"next":null}`)
		})
	}
}

// A key makes it safe to repeat a request.
func TestPublishAgain(t *testing.T) {
	f := newEvents(t)
	id := f.published(publish(keyed4711))
	if want := webhook.KeyedEventID("acme", "4711"); id != want {
		t.Errorf("got the ID %s, want %s", id, want)
	}
	f.now = f.now.Add(time.Hour)
	inHeader := publish(aEvent)
	inHeader.idempotencyKey = "4711"
	for name, test := range map[string]struct {
		call     call
		status   int
		replayed string
	}{
		"in the header":   {inHeader, 202, "true"},
		"another company": {call{method: "POST", target: "/events", key: platform, body: `{"event":` + entry(`,"key":"4711","company":"other"`) + `}`}, 202, ""},
		"with the time":   {publish(`{"event":{"type":"` + paid + `","data":` + invoice + `,"key":"4711","timestamp":"` + acceptedAt + `"}}`), 409, ""},
		"with other data": {publish(`{"event":{"type":"` + paid + `","data":{ "invoice":"4711"},"key":"4711"}}`), 409, ""},
	} {
		r := f.do(test.call)
		if r.status != test.status || r.header.Get("Idempotent-Replayed") != test.replayed {
			t.Errorf("%s: got %d %s, replayed %q", name, r.status, r.body, r.header.Get("Idempotent-Replayed"))
		}
	}
}

func TestPublishBatch(t *testing.T) {
	f := newEvents(t)
	entries := make([]string, 100)
	for i := range entries {
		entries[i] = entry(fmt.Sprintf(`,"key":"%d"`, i))
	}
	var want []string
	for i := range entries {
		want = append(want, `{"id":"`+webhook.KeyedEventID("acme", fmt.Sprint(i))+`"}`)
	}
	r := f.do(publish("{\"events\" : [ " + strings.Join(entries, " ,\n") + " ] } "))
	r.want(t, 202, `{"events":[`+strings.Join(want, ",")+`]}`)
	if location := r.header.Get("Location"); location != "" {
		t.Errorf("got Location %q, want none", location)
	}
}

// A platform key can access the events of every company, and nothing else.
func TestPlatformKey(t *testing.T) {
	f := newEvents(t)
	id := f.published(call{method: "POST", target: "/events", key: platform, body: `{"event":` + entry(`,"company":"acme"`) + `}`})
	if line := f.line("request"); line["company"] != "" || line["key_id"] != "key_1" {
		t.Errorf("got the line %v", line)
	}
	noCompany, notAllowed := errorBody(`A valid "company" must be specified.`), errorBody(`"company" can only be specified with a platform key.`)
	for _, test := range []struct {
		key, target string
		status      int
		body        string
	}{
		{platform, "/events/" + id + "?company=acme", 200, ""},
		{platform, "/events/" + id + "?company=", 400, noCompany},
		{platform, "/events/" + id + "?company=a.b", 400, noCompany},
		{platform, "/events/" + id + "?company=acme&company=acme", 400, noCompany},
		{acmeKey, "/events/" + id + "?company=acme", 400, notAllowed},
	} {
		f.do(call{target: test.target, key: test.key}).want(t, test.status, test.body)
	}
	f.service.Limits = api.NewLimits(100)
	handler := f.handler()
	for range 200 {
		send(handler, call{target: "/events/" + id + "?company=acme", key: platform}.request(t.Context())).want(t, 200, "")
	}
	send(handler, call{target: "/events/" + id, key: platform}.request(t.Context())).want(t, 429, errorBody("The platform has sent more than 100 requests per second."))
	send(handler, call{target: "/events/" + id}.request(t.Context())).want(t, 200, "")
}

func TestDeliveries(t *testing.T) {
	f := newEvents(t)
	id := f.published(publish(aEvent))
	d := f.delivery(id)
	path := "/webhooks/" + hookID + "/deliveries"
	head := func(status string, made int, next string) string {
		return fmt.Sprintf(`{"id":%q,"event_id":%q,"event_type":%q,"status":%q,"created_at":%q,"attempt_count":%d,"next_attempt_at":%s`,
			d.DeliveryID(), id, paid, status, acceptedAt, made, next)
	}
	first := func(response string) string {
		return `{"number":1,"at":"2026-03-04T05:06:08.891Z","duration_ms":1500,"url":"` + aURL +
			`","status_code":500,"error":"status","bytes":2000,"response":` + response + `}`
	}
	const second = `{"number":2,"at":"2026-03-04T05:06:17.891Z","duration_ms":0,"url":"` + aURL +
		`","status_code":null,"error":"dns","bytes":0,"response":null}`
	check := func(head, last, attempts string) {
		t.Helper()
		f.do(call{target: path}).want(t, 200, `{"elements":[`+head+`,"last_attempt":`+last+`}],"next":null}`)
		f.do(call{target: path + "/" + d.DeliveryID()}).want(t, 200, head+`,"last_attempt":`+last+`,"attempts":[`+attempts+`]}`)
	}
	check(head("pending", 0, `"`+acceptedAt+`"`), "null", "")

	due := d.AcceptedAt.Add(10 * time.Second)
	f.record(d, time.Second, webhook.Outcome{Status: "pending", Due: due, Lane: webhook.LaneFailed, Attempt: webhook.Attempt{
		Duration: 1500*time.Millisecond + 999*time.Microsecond, StatusCode: 500, Error: "status", Bytes: 2000, Response: "<b>oops</b> \"é\"",
	}})
	oops := first(`"<b>oops</b> \"é\""`)
	check(head("pending", 1, `"2026-03-04T05:06:17.891Z"`), oops, oops)

	f.record(f.delivery(id), 10*time.Second, webhook.Outcome{Status: "failed", Lane: webhook.LaneFailed, Attempt: webhook.Attempt{Error: "dns"}})
	check(head("failed", 2, "null"), second, first("null")+","+second)

	retry := call{method: "POST", target: path + "/" + d.DeliveryID() + "/retry"}
	f.do(retry).want(t, 202, head("failed", 2, "null")+`,"last_attempt":`+second+`,"attempts":[`+first("null")+","+second+`]}`)
	if work, err := f.events.Work(t.Context(), []webhook.Ref{f.delivery(id).Ref}, f.now); err != nil || len(work) != 1 || !work[0].Granted {
		t.Errorf("got the work %+v, %v, want a granted attempt", work, err)
	}
}

func TestListDeliveries(t *testing.T) {
	f := newEvents(t)
	var ids []string // newest first
	for range 3 {
		ids = append([]string{f.delivery(f.published(publish(aEvent))).DeliveryID()}, ids...)
		f.now = f.now.Add(time.Second)
	}
	d := f.delivery(f.published(publish(keyed4711)))
	f.record(d, 0, webhook.Outcome{Status: "delivered", Attempt: webhook.Attempt{StatusCode: 204}})
	all := append([]string{d.DeliveryID()}, ids...)
	const size, status = `"size" must be an integer from 1 to 100.`, `"status" must be pending, delivered, failed or held.`
	const from = `"from" must be a time in RFC 3339 with an offset, for example 2026-01-02T03:04:05Z.`
	for _, test := range []struct {
		query   string
		message string // of the error
		want    []string
	}{
		{"", "", all},
		{"?status=pending", "", ids},
		{"?status=held", "", nil},
		{"?type=" + paid + "&size=100", "", all},
		{"?type=a", "", nil},
		{"?from=2026-03-04T05:06:08.891Z&to=2026-03-04T05:06:09.891Z", "", ids[1:2]},
		{"?from=2026-03-04T05:06:08.8910001Z&to=2026-03-04T05:06:09.8910001Z", "", ids[:1]},
		{"?from=2026-03-04T06:06:09.891%2B01:00", "", all[:2]},
		{"?status=done", status, nil},
		{"?status=", status, nil},
		{"?status=held&status=held", status, nil},
		{"?type=", `A valid "type" must be specified.`, nil},
		{"?from=2026-03-04", from, nil},
		{"?from=2026-03-04T06:06:09.891+01:00", from, nil},
		{"?to=", strings.Replace(from, "from", "to", 1), nil},
		{"?size=0", size, nil},
		{"?size=101", size, nil},
		{"?cursor=", `A valid "cursor" must be specified.`, nil},
		{"?cursor=x", `A valid "cursor" must be specified.`, nil},
		{"?%zz", "The query string is malformed.", nil},
	} {
		r := f.do(call{target: "/webhooks/" + hookID + "/deliveries" + test.query})
		if test.message != "" {
			r.want(t, 400, errorBody(test.message))
			continue
		}
		if got := listedIDs(t, r); fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: got %q, want %q", test.query, got, test.want)
		}
	}
	var paged []string
	for next := "?size=3"; next != ""; {
		r := f.do(call{target: "/webhooks/" + hookID + "/deliveries" + next})
		paged = append(paged, listedIDs(t, r)...)
		var body struct{ Next string }
		if err := json.Unmarshal([]byte(r.body), &body); err != nil {
			t.Fatal(err)
		}
		if next = ""; body.Next != "" {
			next = "?size=3&cursor=" + body.Next
		}
	}
	if fmt.Sprint(paged) != fmt.Sprint(all) {
		t.Errorf("got the pages %q, want %q", paged, all)
	}
}

func listedIDs(t *testing.T, r reply) (ids []string) {
	t.Helper()
	var body struct {
		Elements []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || r.status != 200 {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	for _, e := range body.Elements {
		ids = append(ids, e.ID)
	}
	return ids
}

func TestWebhookStatus(t *testing.T) {
	f := newEvents(t)
	const created = `"created_at":"2026-03-04T05:00:00.000Z","updated_at":"2026-03-04T05:00:00.000Z"`
	check := func(want string) {
		t.Helper()
		f.do(call{target: "/webhooks/" + hookID + "/status"}).want(t, 200, want)
	}
	check(`{"enabled":true,"disabled_reason":null,` + created + `,"failing_since":null,"paused_until":null,"last_success_at":null,"last_failure_at":null,` +
		`"recent":{"delivered":0,"failed":0,"pending":0,"held":0}}`)
	for i, status := range []webhook.Status{"failed", "failed", "delivered", "pending", "pending"} {
		d := f.delivery(f.published(publish(aEvent)))
		o := webhook.Outcome{Status: status, Lane: webhook.LaneFailed, Attempt: webhook.Attempt{StatusCode: 503, Error: "status"}}
		if status == "delivered" {
			o.Attempt, o.Lane = webhook.Attempt{StatusCode: 200}, webhook.LaneUnchanged
		}
		if i == 4 {
			o.PausedUntil = f.now.Add(time.Hour)
		}
		f.record(d, time.Duration(i)*8*time.Second, o)
	}
	d := f.delivery(f.published(publish(aEvent)))
	f.record(d, 33*time.Second, webhook.Outcome{Status: "pending", Lane: webhook.LaneFailed, Attempt: webhook.Attempt{Error: "connect"}})
	recent := `"last_success_at":"2026-03-04T05:06:23.891Z","last_failure_at":"2026-03-04T05:06:40.891Z","recent":{"delivered":1,"failed":2,`
	check(`{"enabled":true,"disabled_reason":null,` + created + `,"failing_since":"` + acceptedAt + `","paused_until":"2026-03-04T06:06:07.891Z",` +
		recent + `"pending":3,"held":0}}`)
	f.now = f.now.Add(time.Hour)
	f.record(f.delivery(d.EventID), 34*time.Second, webhook.Outcome{Status: "failed", Lane: webhook.LaneDisabled, Attempt: webhook.Attempt{StatusCode: 410, Error: "status"}})
	check(`{"enabled":false,"disabled_reason":"gone",` + created + `,"failing_since":"` + acceptedAt + `","paused_until":null,` +
		strings.NewReplacer("06:40", "06:41", `"failed":2`, `"failed":3`).Replace(recent) + `"pending":0,"held":2}}`)
}

// Another company's events and deliveries look as if they did not exist.
func TestEventsNotFound(t *testing.T) {
	f := newEvents(t)
	id := f.published(publish(aEvent))
	dlv := f.delivery(id).DeliveryID()
	f.service.Keys = keys{acmeKey: {ID: "key_other_1", Company: "other", Permissions: f.service.Keys.(keys)[acmeKey].Permissions}}
	const noEvent, noWebhook, noDelivery = "Event not found.", "Webhook not found.", "Delivery not found."
	hook := "/webhooks/" + hookID
	for _, test := range []struct{ method, target, message string }{
		{"GET", "/events/%00", noEvent},
		{"GET", "/webhooks/types/deliveries", noWebhook},
		{"GET", hook + "/deliveries/" + dlv, noDelivery},
		{"POST", hook + "/deliveries/" + dlv + "/retry", noDelivery},
		{"POST", hook + "/deliveries/x/retry", noDelivery},
	} {
		f.do(call{method: test.method, target: test.target}).want(t, 404, errorBody(test.message))
	}
}

// Publishing a large event does not decode its data.
func TestPublishAllocations(t *testing.T) {
	f := newEvents(t)
	handler := f.handler()
	data := `{"items":[` + strings.TrimSuffix(strings.Repeat(`{"name":"a \u00e9","price":1.5},`, 5000), ",") + `]}`
	body := `{"event":{"type":"` + paid + `","data":` + data + `,"key":"1"}}`
	send(handler, publish(body).request(t.Context())).want(t, 202, "")
	if got := testing.AllocsPerRun(10, func() { send(handler, publish(body).request(t.Context())) }); got > 200 {
		t.Errorf("got %v allocations for a body of %d bytes", got, len(body))
	}
}
