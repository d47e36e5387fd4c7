package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"webhooks/shared/webhook"
)

// Reasons that customers see if a host fails the check.
const (
	reasonUnreachable = "the host could not be reached"
	reasonExpired     = "the certificate has expired"
	reasonNotYetValid = "the certificate is not valid yet"
	reasonWrongHost   = "the certificate is not for this host"
	reasonSelfSigned  = "the certificate is self-signed; a trusted authority must issue it"
	reasonUntrusted   = "no trusted authority issued the certificate, or the server does not send the intermediate certificates"
	reasonNotAllowed  = "the certificate must not be used for a server with this name"
	reasonOldProtocol = "the server does not support TLS 1.2 or newer"
)

// Alerts of RFC 8446, section 6.2.
const (
	alertProtocolVersion  tls.AlertError = 70
	alertUnrecognizedName tls.AlertError = 112
)

// failure returns the error for a check that failed with err. The host is to blame unless this machine's own trusted
// authorities cannot be read or it has run out of resources.
func failure(err error, now time.Time) error {
	if _, ours := errors.AsType[x509.SystemRootsError](err); ours {
		return fmt.Errorf("checking TLS: %w", err)
	}
	if isExhaustion(err) {
		return webhook.Unavailable(fmt.Errorf("checking TLS: %w", err))
	}
	shown := reason(err, now)
	return &webhook.Error{
		Kind:    webhook.KindInvalid,
		Message: "TLS certificate validation failed: " + shown,
		Cause:   &cause{class: class(err, shown), err: err},
	}
}

// isExhaustion reports whether this machine has run out of descriptors, memory or ports.
func isExhaustion(err error) bool {
	return slices.ContainsFunc([]error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL,
	}, func(errno error) bool { return errors.Is(err, errno) })
}

// cause is why a check failed, for the log. Its text is one of a few classes and contains nothing that the customer or
// the host sent.
type cause struct {
	class string
	err   error
}

func (c *cause) Error() string { return c.class }
func (c *cause) Unwrap() error { return c.err }

// class returns the reason that the customer sees, or a more precise one if that is reasonUnreachable.
func class(err error, shown string) string {
	_, name := errors.AsType[*net.DNSError](err)
	switch {
	case shown != reasonUnreachable:
		return shown
	case errors.Is(err, ErrNotAllowed):
		return "not a public address"
	case name:
		return "the name does not resolve"
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		return "timed out"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	default:
		return "no TLS handshake"
	}
}

func reason(err error, now time.Time) string {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return certificateReason(e, now)
	}
	switch {
	case isAlert(err, alertProtocolVersion) || isOldVersion(err):
		return reasonOldProtocol
	case isAlert(err, alertUnrecognizedName):
		return reasonWrongHost
	}
	return reasonUnreachable
}

func certificateReason(err *tls.CertificateVerificationError, now time.Time) string {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return reasonWrongHost
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch {
		case e.Reason != x509.Expired:
			return reasonNotAllowed
		case now.Before(e.Cert.NotBefore):
			return reasonNotYetValid
		}
		return reasonExpired
	}
	leaf := err.UnverifiedCertificates[0]
	if leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil {
		return reasonSelfSigned // its own key signed it
	}
	return reasonUntrusted
}

// isAlert reports whether err is an alert from the server. crypto/tls does not export the type of that error, but its text
// is the text of [tls.AlertError].
func isAlert(err error, alert tls.AlertError) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "remote error" && e.Err.Error() == alert.Error()
}

// isOldVersion reports whether the server chose a version that it was not offered, as old servers do. crypto/tls has no
// type for that error.
func isOldVersion(err error) bool {
	return strings.Contains(err.Error(), "tls: server selected unsupported protocol version")
}
