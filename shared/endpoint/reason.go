package endpoint

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
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
	reasonUnreachable       = "the host could not be reached"
	reasonExpired           = "the certificate has expired"
	reasonNotYetValid       = "the certificate is not valid yet"
	reasonWrongHost         = "the certificate is not for this host"
	reasonSelfSigned        = "the certificate is self-signed; a trusted authority must issue it"
	reasonUntrusted         = "no trusted authority issued the certificate, or the server does not send the intermediate certificates"
	reasonNotAllowed        = "the certificate must not be used for a server with this name"
	reasonOldProtocol       = "the server does not support TLS 1.2 or newer"
	reasonUnknownHost       = "the server does not recognize this host name"
	reasonNothingInCommon   = "the server supports none of the offered cipher suites, curves and signature algorithms, or it rejected the connection"
	reasonClientCertificate = "the server requires a client certificate"
	reasonAlert             = "the server ended the TLS handshake with the alert \"%s\""
	reasonMalformed         = "the certificate is malformed"
	reasonLongChain         = "the server sends more than 32 KiB of certificates"
	reasonUnsupportedKey    = "the certificate's key is not supported: use RSA with 1024 to 8192 bits, ECDSA (P-256, P-384, P-521) or Ed25519"
	reasonOldSignature      = "the certificate, or an intermediate certificate, has an insecure signature (SHA-1 or MD5)"
	reasonNameConstraints   = "an intermediate certificate has name constraints that are not supported"
	reasonPrecertificate    = "the certificate is a precertificate; use the certificate that the authority issued"
	reasonExtension         = "the certificate, or an intermediate certificate, has a critical extension that is not supported"
)

// errClientCertificate means that the server asked for a client certificate and then sent an alert.
var errClientCertificate = errors.New("the server requires a client certificate")

// errLongChain means that the server sent more than maxChain of certificates.
var errLongChain = errors.New(reasonLongChain)

// failure returns the error for a check that failed with err. The host is to blame unless this machine is, or its trusted
// authorities cannot be read.
func failure(err error, now time.Time) error {
	if _, ours := errors.AsType[x509.SystemRootsError](err); ours {
		return fmt.Errorf("checking TLS: %w", err)
	}
	if errors.Is(err, ErrLocal) {
		errno, _ := errors.AsType[syscall.Errno](err)
		return webhook.Unavailable(&cause{class: fmt.Sprintf("checking TLS: %v: %v", ErrLocal, errno), err: err})
	}
	if errors.Is(err, ErrNoNameServer) {
		return webhook.Unavailable(&cause{class: "checking TLS: " + ErrNoNameServer.Error(), err: err})
	}
	shown := reason(err, now)
	return &webhook.Error{
		Kind:    webhook.KindInvalid,
		Message: "TLS certificate validation failed: " + shown,
		Cause:   &cause{class: class(err, shown), err: err},
	}
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
	if errors.Is(err, errClientCertificate) {
		return reasonClientCertificate
	}
	if errors.Is(err, errLongChain) {
		return reasonLongChain
	}
	if alert, ok := alertOf(err); ok {
		return alertReason(alert)
	}
	// crypto/tls has no types for these errors.
	text := err.Error()
	for _, known := range []struct{ text, reason string }{
		// Old servers choose a version that they were not offered.
		{"tls: server selected unsupported protocol version", reasonOldProtocol},
		{"tls: server chose an unconfigured cipher suite", reasonNothingInCommon},
		{"tls: server selected unsupported group", reasonNothingInCommon},
		{"tls: server selected unsupported curve", reasonNothingInCommon},
		{"tls: failed to parse certificate from server", reasonMalformed},
		{"tls: server sent certificate containing RSA key larger than", reasonUnsupportedKey},
		{"tls: server's certificate contains an unsupported type of public key", reasonUnsupportedKey},
		{"-bit keys are insecure", reasonUnsupportedKey},
		{"tls: certificate used with invalid signature algorithm", reasonNothingInCommon},
	} {
		if strings.Contains(text, known.text) {
			return known.reason
		}
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
	for _, sent := range err.UnverifiedCertificates {
		switch {
		case hasUnhandled(sent, precertificatePoison):
			return reasonPrecertificate
		case hasUnhandled(sent, nameConstraints):
			return reasonNameConstraints
		case len(sent.UnhandledCriticalExtensions) > 0:
			return reasonExtension
		case isInsecure(sent.SignatureAlgorithm) && !bytes.Equal(sent.RawIssuer, sent.RawSubject):
			return reasonOldSignature
		case sent.PublicKeyAlgorithm == x509.UnknownPublicKeyAlgorithm || isWeak(sent):
			return reasonUnsupportedKey
		}
	}
	if leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil {
		return reasonSelfSigned // its own key signed it
	}
	return reasonUntrusted
}

// Critical extensions that crypto/x509 may report as unhandled.
const (
	precertificatePoison = "1.3.6.1.4.1.11129.2.4.3" // RFC 6962, section 3.1
	nameConstraints      = "2.5.29.30"               // RFC 5280, section 4.2.1.10
)

func hasUnhandled(cert *x509.Certificate, extension string) bool {
	return slices.ContainsFunc(cert.UnhandledCriticalExtensions, func(id asn1.ObjectIdentifier) bool { return id.String() == extension })
}

func isInsecure(algorithm x509.SignatureAlgorithm) bool {
	return slices.Contains([]x509.SignatureAlgorithm{
		x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1,
	}, algorithm)
}

// isWeak reports whether a certificate has an RSA key of a size that crypto/rsa rejects.
func isWeak(cert *x509.Certificate) bool {
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	return ok && key.N.BitLen() < 1024
}

func alertReason(alert string) string {
	switch alert {
	case alertText(70): // protocol_version
		return reasonOldProtocol
	case alertText(112): // unrecognized_name
		return reasonUnknownHost
	case alertText(40), alertText(71): // handshake_failure, insufficient_security
		return reasonNothingInCommon
	}
	return fmt.Sprintf(reasonAlert, alert)
}

// alertText returns the description of an alert (RFC 8446, section 6.2) in the words of crypto/tls.
func alertText(alert tls.AlertError) string { return strings.TrimPrefix(alert.Error(), "tls: ") }

// alertOf returns the description of the alert that the server sent. crypto/tls does not export the type of that error.
func alertOf(err error) (string, bool) {
	e, ok := errors.AsType[*net.OpError](err)
	if !ok || e.Op != "remote error" {
		return "", false
	}
	return strings.TrimPrefix(e.Err.Error(), "tls: "), true
}
