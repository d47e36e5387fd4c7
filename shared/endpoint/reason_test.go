package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"webhooks/shared/webhook"
)

func TestFailureCause(t *testing.T) {
	const secret = "internal.customer.example"
	op := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3)}, Err: err}
	}
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"not public", fmt.Errorf("%w: 10.1.2.3", ErrNotAllowed), "not a public address"},
		{"unknown name", &net.DNSError{Err: "no such host", Name: secret, IsNotFound: true}, "the name does not resolve"},
		{"name server does not respond", &net.DNSError{Err: "timeout", Name: secret, IsTimeout: true}, "the name does not resolve"},
		{"timed out", op(os.ErrDeadlineExceeded), "timed out"},
		{"context deadline", context.DeadlineExceeded, "timed out"},
		{"connection refused", op(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "connection refused"},
		{"other", op(errors.New("tls: first record of " + secret + " does not look like a TLS handshake")), "no TLS handshake"},
		{"key too short", errors.New("tls: invalid signature by the server certificate: crypto/rsa: 512-bit keys are insecure"), reasonUnsupportedKey},
		{"key too long", errors.New("tls: server sent certificate containing RSA key larger than 8192 bits"), reasonUnsupportedKey},
		{"unknown kind of key", errors.New("tls: server's certificate contains an unsupported type of public key: <nil>"), reasonUnsupportedKey},
		{"unknown kind of signature", errors.New("tls: certificate used with invalid signature algorithm"), reasonNothingInCommon},
		{"name rejected by the server", &net.OpError{Op: "remote error", Err: tls.AlertError(112)}, reasonUnknownHost},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := errors.AsType[*webhook.Error](failure(test.err, now()))
			if !ok || got.Cause.Error() != test.want {
				t.Fatalf("cause %v, want %q", got, test.want)
			}
			if text := got.Error(); strings.Contains(text, secret) || strings.Contains(text, "10.1.2.3") {
				t.Errorf("the error contains the host: %s", text)
			}
			if !errors.Is(got, test.err) {
				t.Error("the error does not wrap its cause")
			}
		})
	}
}
