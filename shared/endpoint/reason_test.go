package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"webhooks/shared/webhook"
)

// A machine that has run out of resources must not tell customers that their hosts are down.
func TestCheckTLSExhaustion(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		c := newChecker(newAuthority(t, "root"))
		c.Dial = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", errno)}
		}
		err := c.CheckTLS(t.Context(), mustParse(t, "https://"+host))
		if webhook.KindOf(err) != webhook.KindUnavailable || !errors.Is(err, errno) {
			t.Errorf("got %v, want unavailable because of %v", err, errno)
		}
	}
}

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
		{"name rejected by the server", &net.OpError{Op: "remote error", Err: alertUnrecognizedName}, reasonWrongHost},
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
