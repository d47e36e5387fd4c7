package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/delivery"
	"webhooks/shared/seal"
	"webhooks/shared/sqlite"
	"webhooks/shared/webhook"
)

const (
	// subscribers is how many webhooks get what a benchmark sends: all of them the events of type typeAll, and each the events of
	// its own type.
	subscribers = 100
	typeAll     = "all"
	// typeWaiting is the type of the events that wait for tomorrow, which all webhooks get.
	typeWaiting = "waiting"
)

// typeOf returns the type of an event that goes to one webhook, with all of them in turn.
func typeOf(event int) string { return fmt.Sprintf("only.%d", event%subscribers) }

// data is a data directory of webhookctl serve, with a company and its webhooks.
type data struct {
	size dataSize
	dir  string
	key  string // the company's API key
}

// dataSize says how many webhooks there are, on how many hosts, and how many events wait for tomorrow, each with a delivery for
// every webhook.
type dataSize struct{ webhooks, hosts, waiting int }

// newData fills a data directory.
func newData(b *testing.B, r *receiver, size dataSize) *data {
	b.Helper()
	d := &data{size: size, dir: b.TempDir()}
	d.change(b, func(store *sqlite.Store) {
		keys, _, err := seal.LoadOrCreateKeyFile(b.Context(), filepath.Join(d.dir, "token.key"), rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		sealer := seal.Sealer{Keys: keys, Random: rand.Reader}
		d.key = newCompany(b, store).key
		calls := make([]call, size.webhooks)
		for i := range calls {
			calls[i] = func(ctx context.Context) error { return subscribe(ctx, store, sealer, i, r.url(i, size.hosts)) }
		}
		concurrently(b, 64, calls)
		accept(b, store, slices.Repeat([]string{typeWaiting}, size.waiting))
	})
	if size.waiting > 0 {
		d.exec(b, "UPDATE deliveries SET due = ? WHERE due IS NOT NULL", time.Now().Add(24*time.Hour).UnixMilli())
	}
	return d
}

// subscribe creates a webhook.
func subscribe(ctx context.Context, store *sqlite.Store, sealer seal.Sealer, i int, url string) error {
	w := webhook.Webhook{
		ID: newID(), Company: companyID, Name: "Billing Events", URL: url, Events: []string{typeWaiting},
		Version: 1, CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	}
	if i < subscribers {
		w.Events = append(w.Events, typeAll, typeOf(i))
	}
	token, err := webhook.NewToken(rand.Reader)
	if err != nil {
		return err
	}
	if w.SealedToken, err = sealer.Seal(ctx, w.Company, w.ID, token); err != nil {
		return err
	}
	_, err = store.CreateWebhook(ctx, webhook.Creation{Quota: 1 << 30, Webhook: w})
	return err
}

// change opens the store, which must not be served, for changes.
func (d *data) change(b *testing.B, change func(store *sqlite.Store)) {
	b.Helper()
	store, err := sqlite.Open(b.Context(), d.file(), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	change(store)
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
}

func (d *data) file() string { return filepath.Join(d.dir, "webhooks.db") }

// accept stores an event of each type with its deliveries.
func accept(b *testing.B, store *sqlite.Store, types []string) {
	b.Helper()
	for batch := range slices.Chunk(types, 100) {
		events := make([]webhook.NewEvent, len(batch))
		for i, eventType := range batch {
			now := time.Now().UTC().Truncate(time.Millisecond)
			body, err := delivery.Body(eventType, now, eventData(now))
			if err != nil {
				b.Fatal(err)
			}
			events[i] = webhook.NewEvent{Sent: sha256.Sum256(body), Event: webhook.Event{
				ID: webhook.NewEventID(ulid.Make().String()), Company: companyID, Type: eventType, Timestamp: now, AcceptedAt: now, Body: body,
			}}
		}
		if _, err := store.AcceptEvents(b.Context(), events); err != nil {
			b.Fatal(err)
		}
	}
	for more := true; more; {
		var err error
		if more, err = store.FanOut(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// eventData returns the data of an event, with which what receivers get is 1 KB.
func eventData(sent time.Time) []byte {
	return fmt.Appendf(nil, `{%s%d,"text":%q}`, sentField, sent.UnixNano(), strings.Repeat("x", 900))
}

// copy returns a copy of the data in a new directory.
func (d *data) copy(b *testing.B) *data {
	b.Helper()
	to := &data{d.size, b.TempDir(), d.key}
	for _, name := range []string{"webhooks.db", "token.key"} {
		content, err := os.ReadFile(filepath.Join(d.dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to.dir, name), content, 0o600)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	return to
}

// exec changes the file behind the store's back.
func (d *data) exec(b *testing.B, statement string, args ...any) {
	b.Helper()
	d.open(b, func(db *sql.DB) error {
		_, err := db.ExecContext(b.Context(), statement, args...)
		return err
	})
}

func (d *data) open(b *testing.B, use func(db *sql.DB) error) {
	b.Helper()
	db, err := sql.Open("sqlite", d.file())
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(use(db), db.Close()); err != nil {
		b.Fatal(err)
	}
}

// checkUnfinished checks how many deliveries are unfinished once the service has stopped.
func (d *data) checkUnfinished(b *testing.B, want int) {
	b.Helper()
	var got int
	d.open(b, func(db *sql.DB) error {
		return db.QueryRowContext(b.Context(), "SELECT count(*) FROM deliveries WHERE due IS NOT NULL").Scan(&got)
	})
	if got != want {
		b.Errorf("%d deliveries are unfinished, want %d", got, want)
	}
}

// service is a running webhookctl serve.
type service struct {
	*exec.Cmd
	url, key string
	started  time.Time
	publish  http.Client
}

func buildWebhookctl(b *testing.B) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "webhookctl")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", program, "webhooks/infra/webhookctl").CombinedOutput(); err != nil {
		b.Fatalf("building webhookctl: %v\n%s", err, out)
	}
	return program
}

// serve starts the service on a free port, and returns when it serves. It is killed when the benchmark ends.
func (d *data) serve(b *testing.B, site *site) *service {
	b.Helper()
	logFile := filepath.Join(d.dir, "log")
	log, err := os.Create(logFile)
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	s := &service{key: d.key, started: time.Now(), Cmd: exec.CommandContext(b.Context(), site.program, "serve", "--addr", "127.0.0.1:0",
		"--log-format", "json", "--rate-limit", "0", "--data", d.dir, "--ca-file", site.receiver.CAFile, "--allow-network", "127.0.0.0/8")}
	s.publish.Transport = &http.Transport{MaxIdleConnsPerHost: publishers}
	s.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "WEBHOOKS_") })
	s.Stderr = log
	if err := s.Start(); err != nil {
		b.Fatal(err)
	}
	serving := regexp.MustCompile(`"msg":"serving","addr":"([^"]+)"`)
	for time.Since(s.started) < 30*time.Second {
		text, err := os.ReadFile(logFile)
		if err != nil {
			b.Fatal(err)
		}
		if found := serving.FindSubmatch(text); found != nil {
			s.url = "http://" + string(found[1])
			return s
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.Fatal("webhookctl serve did not log that it is serving")
	return nil
}

// stop stops the service as an operator does.
func (s *service) stop(b *testing.B) {
	b.Helper()
	s.publish.CloseIdleConnections()
	if err := errors.Join(s.Process.Signal(syscall.SIGTERM), s.Wait()); err != nil {
		b.Fatalf("stopping webhookctl serve: %v", err)
	}
}

// event publishes an event of a type.
func (s *service) event(ctx context.Context, eventType string) error {
	body := fmt.Appendf(nil, `{"event":{"type":%q,"data":%s}}`, eventType, eventData(time.Now()))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/events", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+s.key)
	request.Header.Set("Content-Type", "application/json")
	response, err := s.publish.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusAccepted || !json.Valid(text)) {
		err = fmt.Errorf("response %d: %s", response.StatusCode, text)
	}
	return err
}
