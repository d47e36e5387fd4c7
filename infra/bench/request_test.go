package bench

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"webhooks/shared/lambdahost"
	"webhooks/shared/sqlite"
	"webhooks/shared/webhook"
)

// request is a kind of request to a function.
type request struct {
	name, function string
	page           webhook.Page // of a list
}

// BenchmarkWarm invokes the functions in this process once the caller's API key is cached, and compares each invocation
// with the plain SDK calls that it makes: the ratio is what the Lambda adapter, authentication, checks, the store and the
// log add.
func BenchmarkWarm(b *testing.B) {
	s := newStack(b)
	host := lambdahost.New(newHandler(b, s.store), slog.New(slog.DiscardHandler))
	recorder := s.newRecorder()
	s.atSizes(b, func(b *testing.B, r request) {
		s.compare(b, r, 1, func(id string) call {
			event := encode(b, s.event(r.function, r.page, id))
			return func(ctx context.Context) error {
				ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
				defer cancel()
				return check(host.Invoke(ctx, event))
			}
		}, func(id string) call { return recorder.floor(b, r, id) })
	})
}

// check returns an error if a function failed or its response does not have a status for success.
func check(response []byte, err error) error {
	succeeded := []string{`"statusCode":20`, `{"batchItemFailures":[]}`}
	if err == nil && (string(response) == "{}" || slices.ContainsFunc(succeeded, func(part string) bool { return strings.Contains(string(response), part) })) {
		return nil
	}
	return fmt.Errorf("response %s, error %w", response, err)
}

// BenchmarkHandlerOnSQLite compares requests with the calls of the store that each makes, with one caller and with
// sixteen.
func BenchmarkHandlerOnSQLite(b *testing.B) {
	store, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "webhooks.db"), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	c, handler := newCompany(b, store), newHandler(b, store)
	c.atSizes(b, func(b *testing.B, r request) {
		for _, callers := range []int{1, 16} {
			b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
				c.compare(b, r, callers, func(id string) call {
					event := c.event(r.function, r.page, id)
					in := httptest.NewRequestWithContext(b.Context(), event.RequestContext.HTTP.Method,
						event.RawPath+"?"+event.RawQueryString, strings.NewReader(event.Body))
					in.Header.Set("Authorization", event.Headers["authorization"])
					return func(context.Context) error {
						out := httptest.NewRecorder()
						if handler.ServeHTTP(out, in); out.Code >= http.StatusBadRequest {
							return fmt.Errorf("response %d: %s", out.Code, out.Body)
						}
						return nil
					}
				}, func(id string) call {
					return func(ctx context.Context) error { return c.call(ctx, r, id) }
				})
			})
		}
	})
}

// call makes the calls of the store that a request makes.
func (c *company) call(ctx context.Context, r request, id string) (err error) {
	switch r.function {
	case "get-webhook":
		_, err = c.store.Webhook(ctx, companyID, id)
	case "list-webhooks":
		_, err = c.store.ListWebhooks(ctx, companyID, r.page)
	case "list-webhook-types":
		_, err = c.store.EventTypes(ctx, companyID)
	case "create-webhook":
		err = c.add(ctx, id)
	case "delete-webhook":
		err = c.store.DeleteWebhook(ctx, companyID, id)
	default:
		err = fmt.Errorf("the calls of %s are not known", r.function)
	}
	return err
}

// atSizes runs a benchmark of every kind of request when the company has few webhooks and when it has many. A list of ten
// returns the same in both cases, so it shows whether the size matters. Creations come after the lists because they change
// the size.
func (c *company) atSizes(b *testing.B, run func(b *testing.B, r request)) {
	for _, size := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("webhooks=%d", size), func(b *testing.B) {
			c.grow(b, size)
			for _, r := range []request{
				{"get", "get-webhook", webhook.Page{}},
				{"list first 10", "list-webhooks", webhook.Page{Size: 10, Number: 1}},
				{"list first 100", "list-webhooks", webhook.Page{Size: 100, Number: 1}},
				{"list last page", "list-webhooks", webhook.Page{Size: 100, Number: max(1, size/100)}},
				{"list types", "list-webhook-types", webhook.Page{}},
				{"create", "create-webhook", webhook.Page{}},
				{"delete", "delete-webhook", webhook.Page{}},
			} {
				b.Run(r.name, func(b *testing.B) { run(b, r) })
			}
		})
	}
}

// compare alternates between requests and the calls that they make (the floor), each with several callers at the same time.
// It reports the medians per request and the ratio of the times. request and floor prepare a call for the webhook with an ID.
func (c *company) compare(b *testing.B, r request, callers int, request, floor func(id string) call) {
	measured := make(samples)
	measure := func(name string, prepare func(id string) call) {
		calls := make([]call, 4*callers)
		for i := range calls {
			calls[i] = prepare(c.target(b, r.function))
		}
		n := float64(len(calls))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		started := time.Now()
		concurrently(b, callers, calls)
		elapsed := time.Since(started)
		runtime.ReadMemStats(&after)
		measured.add("µs-"+name, float64(elapsed.Nanoseconds())/1000/n)
		measured.add("allocs-"+name, float64(after.Mallocs-before.Mallocs)/n)
	}
	turn := func() {
		measure("request", request)
		measure("floor", floor)
	}
	turn() // caches the API key and opens connections
	clear(measured)
	for b.Loop() {
		turn()
	}
	b.ReportMetric(0, "ns/op") // of both together, which means nothing
	measured.report(b)
	b.ReportMetric(measured.median("µs-request")/measured.median("µs-floor"), "ratio")
}
