package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"webhooks/infra/webhookctl/redact"
)

const (
	receiverMaxBody = 1 << 20
	// receiverPrinted is how many bytes of a body are printed.
	receiverPrinted = 2 << 10
	// receiverMaxEvents is the number of events for which a receiver counts attempts. Beyond that, it starts over.
	receiverMaxEvents = 100_000
)

// Receiver is a receiver of webhooks for development. It verifies and reports every POST, whatever its path. It is safe for
// concurrent use by multiple goroutines.
type Receiver struct {
	// Now is the clock.
	Now func() time.Time
	// Tokens returns the tokens with which a POST to a path may be signed. If it is nil or returns none, signatures are not checked.
	Tokens func(ctx context.Context, path string) ([]string, error)
	// Respond returns the status to respond with. Nil means 204.
	Respond func(r Received) int
	// Delay is how long to wait before the response.
	Delay time.Duration
	// Report is called with one POST after another, before the response is sent.
	Report func(r Received)

	mu       sync.Mutex // held during a report
	attempts map[string]int
}

// Received is a POST that a [Receiver] received.
type Received struct {
	At time.Time
	// Path is the path and query as they were sent.
	Path   string
	Header http.Header
	Body   []byte
	// Attempt counts the POSTs with the same webhook-id from 1. It is 0 if there is no webhook-id.
	Attempt int
	// Signature is the result of the check with the Standard Webhooks library.
	Signature Signature
	// Status is what the receiver responds with.
	Status int
}

// Signature says whether the signature of a POST is valid.
type Signature string

// The values of a Signature. [SignatureInvalid] is followed by the reason.
const (
	SignatureMissing   Signature = "not signed"
	SignatureUnchecked Signature = "signature not checked"
	SignatureValid     Signature = "signature valid"
	SignatureInvalid   Signature = "SIGNATURE INVALID"
)

// Age returns how long after the event's timestamp, which is in the body, the POST arrived. It returns false if the body has none.
func (r Received) Age() (time.Duration, bool) {
	var event struct{ Timestamp time.Time }
	err := json.Unmarshal(r.Body, &event)
	return r.At.Sub(event.Timestamp), err == nil && !event.Timestamp.IsZero()
}

// ServeHTTP receives one webhook.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	at := r.Now()
	if request.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "This receiver accepts only POST.", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, receiverMaxBody))
	if err != nil {
		http.Error(w, "The body could not be read or is too large.", http.StatusBadRequest)
		return
	}
	received := Received{At: at, Path: request.RequestURI, Header: request.Header, Body: body, Status: http.StatusNoContent}
	received.Signature = r.verify(request.Context(), received)
	received = r.report(received)
	select {
	case <-request.Context().Done():
	case <-time.After(r.Delay):
		w.WriteHeader(received.Status)
	}
}

// report counts the attempt, chooses the status, and reports the POST.
func (r *Receiver) report(received Received) Received {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id := received.Header.Get(standardwebhooks.HeaderWebhookID); id != "" {
		if r.attempts == nil || len(r.attempts) >= receiverMaxEvents {
			r.attempts = make(map[string]int)
		}
		r.attempts[id]++
		received.Attempt = r.attempts[id]
	}
	if r.Respond != nil {
		received.Status = r.Respond(received)
	}
	r.Report(received)
	return received
}

// verify checks the signature of a POST with each of the tokens.
func (r *Receiver) verify(ctx context.Context, received Received) Signature {
	switch {
	case received.Header.Get(standardwebhooks.HeaderWebhookSignature) == "":
		return SignatureMissing
	case r.Tokens == nil:
		return SignatureUnchecked
	}
	tokens, err := r.Tokens(ctx, received.Path)
	if err != nil || len(tokens) == 0 {
		return SignatureUnchecked
	}
	for _, token := range tokens {
		var verifier *standardwebhooks.Webhook
		if verifier, err = standardwebhooks.NewWebhook(token); err == nil {
			err = verifier.Verify(received.Body, received.Header)
		}
		if err == nil {
			return SignatureValid
		}
	}
	if reason := errors.Unwrap(err); reason != nil { // the library's own words
		err = reason
	}
	return SignatureInvalid + Signature(": "+err.Error())
}

// Print returns a function for [Receiver.Report] that prints each POST in a few lines. It prints only the headers of the Standard
// Webhooks specification, and redacts whatever looks like a secret.
func Print(out io.Writer) func(r Received) {
	return func(r Received) {
		var text strings.Builder
		path, _, _ := strings.Cut(r.Path, "?")
		fmt.Fprintf(&text, "%s received POST %s, %d bytes\n", r.At.Format(time.TimeOnly), printable(path), len(r.Body))
		for _, name := range []string{standardwebhooks.HeaderWebhookID, standardwebhooks.HeaderWebhookTimestamp, standardwebhooks.HeaderWebhookSignature, "content-type"} {
			if value := r.Header.Get(name); value != "" {
				fmt.Fprintf(&text, "  %s: %s\n", name, printable(value))
			}
		}
		if printed := r.Body[:min(len(r.Body), receiverPrinted)]; len(printed) > 0 {
			fmt.Fprintf(&text, "  %s\n", printable(string(printed)))
		}
		if r.Attempt > 0 {
			fmt.Fprintf(&text, "  %s\n", r.summary())
		}
		_, _ = io.WriteString(out, text.String()) // a closed terminal is no reason to reject a webhook
	}
}

// summary describes the POST and the response in one line.
func (r Received) summary() string {
	text := fmt.Sprintf("attempt %d, %s", r.Attempt, r.Signature)
	if age, ok := r.Age(); ok {
		text += fmt.Sprintf(", %s after the event", age.Round(time.Millisecond))
	}
	return text + fmt.Sprintf(": responding with %d", r.Status)
}

// printable makes a sender's text safe for a terminal: one line, without control characters, and with
// whatever looks like a secret redacted.
func printable(text string) string {
	var plain strings.Builder
	for _, c := range text {
		if unicode.IsPrint(c) {
			plain.WriteRune(c)
		} else {
			plain.WriteString(strings.Trim(strconv.QuoteRune(c), "'"))
		}
	}
	return redact.Secrets(plain.String())
}
