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

// A machine that has run out of something must not tell customers that their hosts are down.
func TestCheckTLSWhenThisMachineIsExhausted(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		t.Run(errno.Error(), func(t *testing.T) {
			c := newChecker(newAuthority(t, "root"))
			c.Dial = func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", errno)}
			}
			u, err := Parse("https://" + host)
			if err != nil {
				t.Fatal(err)
			}
			err = c.CheckTLS(t.Context(), u)
			if webhook.KindOf(err) != webhook.KindUnavailable || !errors.Is(err, errno) {
				t.Errorf("got %v, want unavailable for %v", err, errno)
			}
		})
	}
}

func TestFailureNamesItsClassForTheLog(t *testing.T) {
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
		{"no such name", &net.DNSError{Err: "no such host", Name: secret, IsNotFound: true}, "the name does not resolve"},
		{"a name server that does not answer", &net.DNSError{Err: "timeout", Name: secret, IsTimeout: true}, "the name does not resolve"},
		{"timed out", op(os.ErrDeadlineExceeded), "timed out"},
		{"out of time", context.DeadlineExceeded, "timed out"},
		{"refused", op(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "connection refused"},
		{"anything else", op(errors.New("tls: first record of " + secret + " does not look like a TLS handshake")), "no TLS handshake"},
		{"the name refused by the server", &net.OpError{Op: "remote error", Err: alertUnrecognizedName}, reasonWrongHost},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			refused, ok := errors.AsType[*webhook.Error](failure(test.err, now()))
			if !ok || refused.Cause.Error() != test.want {
				t.Fatalf("cause %v, want %q", refused, test.want)
			}
			if text := refused.Error(); strings.Contains(text, secret) || strings.Contains(text, "10.1.2.3") {
				t.Errorf("the error names the host: %s", text)
			}
			if !errors.Is(refused, test.err) {
				t.Error("what happened is lost")
			}
		})
	}
}
