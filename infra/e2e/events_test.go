package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// events is a suite whose inbox is not nil.
type events struct{ *suite }

// publish returns a request to publish events.
func (e *events) publish(body string) request {
	r := e.request(http.MethodPost, "/events").as(e.keys.publish)
	r.body = body
	return r
}

// body returns the body of a request to publish an event, with more fields.
func (e *events) body(more string) string {
	return `{"event":{"type":"` + e.event + `","data":{"amount": 12.50, "to":"\u00e9 <&>"}` + more + `}}`
}

// retry returns a request to retry the delivery with a path.
func (e *events) retry(delivery string) request {
	return e.request(http.MethodPost, delivery+"/retry")
}

// eventually gets a resource until its body contains a text.
func (e *events) eventually(t *testing.T, path, text string) response {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r := e.do(t, e.get(path))
		if strings.Contains(string(r.body), text) {
			return r
		}
		if time.Now().After(end) {
			t.Fatalf("%s\nwant %s", r, text)
		}
	}
}

// wantReceived waits for a request of the service, and checks its signature and body.
func (e *events) wantReceived(t *testing.T, w webhook, id, body string) {
	t.Helper()
	select {
	case got := <-e.inbox.received:
		verifier, err := standardwebhooks.NewWebhook(w.Token)
		if err == nil {
			err = verifier.Verify(got.body, got.header)
		}
		if err != nil || got.header.Get("Webhook-Id") != id || string(got.body) != body {
			t.Errorf("the receiver got %s of %s, verified with %v, want %s of %s", got.body, got.header.Get("Webhook-Id"), err, body, id)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the receiver got nothing")
	}
}

// testEvents publishes events and follows their deliveries.
func testEvents(t *testing.T, s *suite) {
	need(t, s.keys.publish, "WEBHOOKS_E2E_PUBLISH_KEY")
	need(t, s.keys.events, "WEBHOOKS_E2E_EVENTS_KEY")
	if s.inbox == nil {
		need(t, "", "WEBHOOKS_E2E_AUTHORITY")
	}
	e := &events{s}
	w := e.create(t, e.valid().with("url", e.inbox.url+"/in%2Fbox?a=1"))
	t.Run("Delivery", func(t *testing.T) { testDelivery(t, e, w) })
	t.Run("Permission", func(t *testing.T) { testEventPermission(t, e, w) })
	t.Run("OtherCompany", func(t *testing.T) { testEventOfOtherCompany(t, e, w) })
	t.Run("Platform", func(t *testing.T) { testPlatform(t, e) })
	t.Run("Batch", func(t *testing.T) { testBatch(t, e) })
	t.Run("Deleted", func(t *testing.T) {
		e.remove(t, w)
		e.do(t, e.get("/webhooks/"+w.ID+"/deliveries")).wantError(t, 404, notFound)
		e.do(t, e.get("/webhooks/"+w.ID+"/status")).wantError(t, 404, notFound)
	})
}

// testDelivery follows one event from publishing it to retrying its delivery.
func testDelivery(t *testing.T, e *events, w webhook) {
	const timestamp, keyed = "2026-01-02T03:04:05.600Z", `,"key":"charge-1","timestamp":"2026-01-02T04:04:05.6+01:00"`
	published := e.do(t, e.publish(e.body(keyed)))
	var ids struct {
		ID         string
		Deliveries []struct{ ID string }
	}
	if err := json.Unmarshal(published.body, &ids); err != nil || published.status != 202 || published.header.Get("Location") != "/events/"+ids.ID {
		t.Fatalf("%s, Location %q", published, published.header.Get("Location"))
	}
	const data = `{"amount":12.50,"to":"\u00e9 <&>"}`
	sent := `{"type":"` + e.event + `","timestamp":"` + timestamp + `","data":` + data + `}`
	e.wantReceived(t, w, ids.ID, sent)
	stored := e.do(t, e.get("/events/"+ids.ID).as(e.keys.events)) // the receiver has not responded
	for _, part := range []string{
		`"key":"charge-1","type":"` + e.event + `","timestamp":"` + timestamp + `"`, `"data":` + data + `,"deliveries":[{"id":"dlv_`,
		`"webhook_id":"` + w.ID + `","status":"pending","attempt_count":0}],"next":null}`,
	} {
		if !strings.Contains(string(stored.body), part) {
			t.Errorf("%s\nwant %s", stored, part)
		}
	}
	if err := json.Unmarshal(stored.body, &ids); err != nil || len(ids.Deliveries) != 1 {
		t.Fatalf("%s\nwant one delivery", stored)
	}
	e.inbox.respond <- 500
	list := "/webhooks/" + w.ID + "/deliveries"
	path := list + "/" + ids.Deliveries[0].ID
	e.eventually(t, path, `"status_code":500,"error":"status"`)
	e.wantReceived(t, w, ids.ID, sent) // again, after the first step of the schedule
	e.inbox.respond <- 200
	delivered := e.eventually(t, path, `"status":"delivered"`)
	if attempt := fmt.Sprintf(`"url":%q,"status_code":200,"error":null,"bytes":6,"response":"thanks"}]}`, w.URL); !strings.HasSuffix(string(delivered.body), attempt) {
		t.Errorf("%s\nwant %s", delivered, attempt)
	}

	for _, again := range []request{e.publish(e.body(keyed)), e.publish(e.body(keyed)).with("Idempotency-Key", "charge-1")} {
		r := e.do(t, again)
		r.want(t, 202, string(published.body))
		if r.header.Get("Idempotent-Replayed") != "true" || published.header.Get("Idempotent-Replayed") != "" {
			t.Errorf("%s\nwant Idempotent-Replayed only now", r)
		}
	}
	e.do(t, e.publish(e.body(`,"key":"charge-1"`))).wantError(t, 409, "This key was already used for a different event.")

	e.do(t, e.retry(path)).want(t, 202, string(delivered.body))
	e.inbox.respond <- 410
	e.eventually(t, path, `"attempt_count":3`)
	if r := e.do(t, e.get(list+"?status=delivered&type="+e.event)); !strings.Contains(string(r.body), `"status_code":410`) {
		t.Errorf("%s\nwant the latest attempt of a delivery that stays delivered", r)
	}
	e.do(t, e.get(list+"?status=failed&from=2026-01-02T03:04:05Z&size=1")).want(t, 200, `{"elements":[],"next":null}`)
	e.do(t, e.retry(path)).wantError(t, 409, "The webhook is disabled, so the delivery cannot be retried.")
	e.eventually(t, "/webhooks/"+w.ID+"/status", `{"enabled":false,"disabled_reason":"gone","created_at":"`)
}

func testEventPermission(t *testing.T, e *events, w webhook) {
	hook := "/webhooks/" + w.ID
	e.rejects(t,
		row{"publish", e.publish(e.body("")).as(e.keys.events), 403, lacks("events:write")},
		row{"get", e.get("/events/x").as(e.keys.publish), 403, lacks("events:read")},
		row{"list deliveries", e.get(hook + "/deliveries").as(e.keys.events), 403, lacks("webhooks:read")},
		row{"get a delivery", e.get(hook + "/deliveries/x").as(e.keys.events), 403, lacks("webhooks:read")},
		row{"retry", e.retry(hook + "/deliveries/x").as(e.keys.events), 403, lacks("webhooks:write")},
		row{"status", e.get(hook + "/status").as(e.keys.events), 403, lacks("webhooks:read")},
		row{"platform key", e.get(hook).as(e.keys.platform), 403, lacks("webhooks:read")},
		row{"no key", e.publish(e.body("")).as(""), 401, invalidToken},
	)
}

// Another company's events and deliveries look as if they did not exist.
func testEventOfOtherCompany(t *testing.T, e *events, w webhook) {
	other := need(t, e.keys.other, "WEBHOOKS_E2E_OTHER_KEY")
	var id struct{ ID string }
	r := e.do(t, e.publish(e.body("")))
	if err := json.Unmarshal(r.body, &id); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ path, unknown, message string }{
		{"/events/" + id.ID, "/events/x", "Event not found."},
		{"/webhooks/" + w.ID + "/deliveries", "/webhooks/" + unknownID + "/deliveries", notFound},
		{"/webhooks/" + w.ID + "/deliveries/x", "/webhooks/" + unknownID + "/deliveries/x", "Delivery not found."},
		{"/webhooks/" + w.ID + "/status", "/webhooks/" + unknownID + "/status", notFound},
	} {
		theirs := e.do(t, e.get(row.path).as(other))
		theirs.wantError(t, 404, row.message)
		theirs.wantSame(t, e.do(t, e.get(row.unknown).as(other)))
	}
}

func testPlatform(t *testing.T, e *events) {
	need(t, e.keys.platform, "WEBHOOKS_E2E_PLATFORM_KEY")
	e.rejects(t,
		row{"no company", e.publish(e.body("")).as(e.keys.platform), 400, `A valid "company" must be specified.`},
		row{"company without a platform key", e.publish(e.body(`,"company":"` + mainCompany + `"`)), 400, `"company" can only be specified with a platform key.`},
		row{"get without a company", e.get("/events/x").as(e.keys.platform), 400, `A valid "company" must be specified.`},
	)
	var ours, theirs struct{ ID string }
	for company, id := range map[string]*struct{ ID string }{mainCompany: &ours, otherCompany: &theirs} {
		r := e.do(t, e.publish(e.body(`,"key":"same","company":"`+company+`"`)).as(e.keys.platform))
		if err := json.Unmarshal(r.body, id); err != nil || r.status != 202 {
			t.Fatalf("%s, %v", r, err)
		}
	}
	e.do(t, e.get("/events/"+ours.ID+"?company="+otherCompany).as(e.keys.platform)).wantError(t, 404, "Event not found.")
	got := e.do(t, e.get("/events/"+theirs.ID+"?company="+otherCompany).as(e.keys.platform))
	got.wantSame(t, e.do(t, e.get("/events/"+theirs.ID).as(e.keys.other)))
	if ours == theirs || got.status != 200 {
		t.Errorf("%s\nwant a separate event for each company", got)
	}
}

func testBatch(t *testing.T, e *events) {
	entry := strings.TrimSuffix(strings.TrimPrefix(e.body(`,"key":"%d"`), `{"event":`), "}")
	var entries []string
	for i := range 101 {
		entries = append(entries, strings.Replace(entry, "%d", fmt.Sprint(i), 1))
	}
	batch := func(entries ...string) request { return e.publish(`{"events":[` + strings.Join(entries, ",") + `]}`) }
	first := e.do(t, batch(entries[:100]...))
	var body struct{ Events []struct{ ID string } }
	if err := json.Unmarshal(first.body, &body); err != nil || first.status != 202 || len(body.Events) != 100 || first.header.Get("Location") != "" {
		t.Fatalf("%s\nwant 100 IDs", first)
	}
	again := e.do(t, batch(entries[:100]...))
	again.wantSame(t, first)
	some := e.do(t, batch(entries[99:]...))
	if again.header.Get("Idempotent-Replayed") != "true" || some.status != 202 || some.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("%s\nwant Idempotent-Replayed only if all were replayed", some)
	}
	for _, id := range []string{body.Events[0].ID, body.Events[99].ID} {
		if r := e.do(t, e.get("/events/"+id)); r.status != 200 {
			t.Errorf("%s\nwant the event", r)
		}
	}
	large := strings.Repeat("x", 256<<10)
	e.rejects(t,
		row{"index", batch(entries[0], `{"data":{}}`), 400, `events[1]: A valid "type" must be specified.`},
		row{"too many", batch(entries...), 400, `"events" must not exceed 100 entries.`},
		row{"a single event too large", e.publish(e.body(`,"x":"` + large + `"`)), 413, "The request body must not exceed 262144 bytes."},
		row{"a batch too large", e.publish(strings.Repeat(large, 5)), 413, "The request body must not exceed 1048576 bytes."},
	)
}
