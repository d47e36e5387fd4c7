package endpoint

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"webhooks/shared/webhook"
)

// DefaultTimeout limits a TLS check, from the DNS lookup to the end of the handshake.
const DefaultTimeout = 5 * time.Second

// alertPatience is how long to wait for the alert of a server that asked for a client certificate.
const alertPatience = time.Second

// Checker checks the TLS certificate of the host behind a URL. It is safe for concurrent use by
// multiple goroutines.
type Checker struct {
	Dialer
	// RootCAs are the trusted authorities; nil means the system's.
	RootCAs *x509.CertPool
	// Timeout limits the whole check; zero means [DefaultTimeout].
	Timeout time.Duration
	// Now returns the time at which certificates must be valid. It is required.
	Now func() time.Time
}

// CheckTLS resolves the host and, if the policy allows all of its addresses, completes a TLS handshake with the first
// one. The certificate must chain to a trusted authority, be issued for the host, and be valid now, over TLS 1.2 or
// newer. The server must not require a client certificate. CheckTLS tries no other address and sends nothing over the
// connection.
//
// If the host fails the check, the error is of kind webhook.KindInvalid. Its message says what the handshake showed. For
// everything else (unknown name, no response, not a public address) it is always the same sentence, because the
// difference would reveal what exists in a private network. The time taken is not evened out. The error's cause is for
// the log and contains no name or address.
//
// If ctx ends first, or this machine is to blame ([ErrLocal], [ErrNoNameServer]), the error is of kind
// webhook.KindUnavailable.
func (c *Checker) CheckTLS(ctx context.Context, u URL) error {
	now := c.Now()
	limited, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, DefaultTimeout))
	defer cancel()
	err := c.check(limited, u, now)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return webhook.Unavailable(fmt.Errorf("checking TLS: %w", context.Cause(ctx)))
	default:
		return failure(err, now)
	}
}

func (c *Checker) check(ctx context.Context, u URL, now time.Time) error {
	targets, err := c.Resolve(ctx, u)
	if err != nil {
		return err
	}
	asked := false // whether the server asked for a client certificate
	config := &tls.Config{
		ServerName: u.host, // if it is an address, no name is sent, and the certificate must contain the address
		MinVersion: tls.VersionTLS12,

		VerifyPeerCertificate: limitChain,
		RootCAs:               c.RootCAs,
		Time:                  func() time.Time { return now },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return new(tls.Certificate), nil
		},
	}
	conn, err := c.Connect(ctx, targets[0])
	if err != nil {
		return err
	}
	session, err := c.Handshake(ctx, conn, targets[0], config, cmp.Or(c.Timeout, DefaultTimeout)*3/5)
	if err == nil {
		defer session.Close()
		if asked && session.ConnectionState().Version == tls.VersionTLS13 {
			err = awaitAlert(ctx, session)
		}
	}
	if _, alert := alertOf(err); alert && asked {
		err = fmt.Errorf("%w: %w", errClientCertificate, err)
	}
	return err
}

// awaitAlert returns the alert that a TLS 1.3 server sends if it requires a client certificate, or nil if none arrives
// soon. In TLS 1.3, the client's side of the handshake is complete before the server has seen that there is none.
func awaitAlert(ctx context.Context, session *tls.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, alertPatience)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = session.SetReadDeadline(time.Unix(0, 1)) })()
	_, err := session.Read(make([]byte, 1))
	if _, alert := alertOf(err); alert {
		return err
	}
	return nil
}

// NoCheck accepts every host without a check. It is only for local development.
type NoCheck struct{}

// CheckTLS accepts the URL.
func (NoCheck) CheckTLS(context.Context, URL) error { return nil }
