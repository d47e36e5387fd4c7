package sandbox

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"webhooks/infra/webhookctl/redact"
)

const (
	receiverMaxBody = 1 << 20
	// receiverShown is how many bytes of a body are shown.
	receiverShown = 2 << 10
)

// Receiver is the sample receiver of webhooks: it shows each POST in a few lines and answers 204.
// Of the headers it shows those that the Standard Webhooks specification names, but for the
// signature; whatever looks like a secret is left out. It may be used from many goroutines.
type Receiver struct {
	now func() time.Time

	mu  sync.Mutex // of a request's lines, which stay together
	out io.Writer
}

// NewReceiver makes a Receiver that writes to out.
func NewReceiver(out io.Writer, now func() time.Time) *Receiver {
	return &Receiver{now: now, out: out}
}

// ServeHTTP takes one webhook.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "This receiver takes webhooks by POST.", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, receiverMaxBody))
	if err != nil {
		http.Error(w, "The body could not be read, or is too large.", http.StatusBadRequest)
		return
	}
	r.show(request, body)
	w.WriteHeader(http.StatusNoContent)
}

func (r *Receiver) show(request *http.Request, body []byte) {
	var text strings.Builder
	fmt.Fprintf(&text, "%s received POST %s, %d bytes\n",
		r.now().Format(time.TimeOnly), displayed(request.URL.Path), len(body))
	for _, name := range []string{"webhook-id", "webhook-timestamp", "content-type"} {
		if value := request.Header.Get(name); value != "" {
			fmt.Fprintf(&text, "  %s: %s\n", name, displayed(value))
		}
	}
	shown := body[:min(len(body), receiverShown)]
	if len(shown) > 0 {
		fmt.Fprintf(&text, "  %s\n", displayed(string(shown)))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// A terminal that is gone is no reason to refuse a webhook.
	_, _ = io.WriteString(r.out, text.String())
}

// displayed makes a sender's text fit for a terminal: on one line, without control characters, and
// without what looks like one of the service's secrets.
func displayed(text string) string {
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
