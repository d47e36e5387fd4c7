package sandbox

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"webhooks/infra/webhookctl/redact"
)

// portFile contains the receiver's port, which is part of the URLs of webhooks created for it.
const portFile = "receiver-port"

const (
	receiverMaxBody = 1 << 20
	// receiverPrinted is how many bytes of a body are printed.
	receiverPrinted = 2 << 10
)

// listen opens the port kept in dir, or a free one if there is none or it is taken, and keeps it.
func listen(dir string, log *slog.Logger) (net.Listener, error) {
	path := filepath.Join(dir, portFile)
	text, _ := os.ReadFile(path)
	kept, _ := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 16) // 0 picks a free port
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", kept))
	if err != nil && kept != 0 {
		log.Warn("the sample receiver's previous port is in use: webhooks created for it will not reach the receiver", "port", kept)
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, err
	}
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	if err := replaceFile(path, []byte(port+"\n"), 0o644); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// Receiver is the sample receiver of webhooks: it prints each POST in a few lines and responds with 204.
// It prints only the headers of the Standard Webhooks specification, without the signature, and redacts
// whatever looks like a secret. It is safe for concurrent use by multiple goroutines.
type Receiver struct {
	now func() time.Time

	mu  sync.Mutex // keeps the lines of a request together
	out io.Writer
}

// NewReceiver returns a Receiver that prints to out.
func NewReceiver(out io.Writer, now func() time.Time) *Receiver {
	return &Receiver{now: now, out: out}
}

// ServeHTTP receives one webhook.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
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
	r.print(request, body)
	w.WriteHeader(http.StatusNoContent)
}

func (r *Receiver) print(request *http.Request, body []byte) {
	var text strings.Builder
	fmt.Fprintf(&text, "%s received POST %s, %d bytes\n", r.now().Format(time.TimeOnly), printable(request.URL.Path), len(body))
	for _, name := range []string{"webhook-id", "webhook-timestamp", "content-type"} {
		if value := request.Header.Get(name); value != "" {
			fmt.Fprintf(&text, "  %s: %s\n", name, printable(value))
		}
	}
	if printed := body[:min(len(body), receiverPrinted)]; len(printed) > 0 {
		fmt.Fprintf(&text, "  %s\n", printable(string(printed)))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = io.WriteString(r.out, text.String()) // a closed terminal is no reason to reject a webhook
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
