package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"webhooks/shared/webhook"
)

// What a customer is told about a host that failed the check.
const (
	reasonUnreachable = "the host could not be reached"
	reasonExpired     = "the certificate has expired"
	reasonNotYetValid = "the certificate is not valid yet"
	reasonWrongHost   = "the certificate is not for this host"
	reasonSelfSigned  = "the certificate is self-signed; a trusted authority must issue it"
	reasonUntrusted   = "no trusted authority issued the certificate, or the server does not send the intermediate certificates"
	reasonNotAllowed  = "the certificate may not be used for a server of this name"
	reasonOldProtocol = "the server does not support TLS 1.2 or newer"
)

// Alerts of RFC 8446, section 6.2.
const (
	alertProtocolVersion  tls.AlertError = 70
	alertUnrecognizedName tls.AlertError = 112
)

// failure is the error of a check that failed for err. The fault is the host's, except when this
// machine's own trusted authorities cannot be read.
func failure(err error, now time.Time) error {
	if _, ours := errors.AsType[x509.SystemRootsError](err); ours {
		return fmt.Errorf("checking TLS: %w", err)
	}
	return &webhook.Error{
		Kind:    webhook.KindInvalid,
		Message: "TLS certificate validation failed: " + reason(err, now),
		Cause:   err,
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

// isAlert reports whether err is an alert that the server sent. crypto/tls does not export the type
// it has there, but it has the text of [tls.AlertError].
func isAlert(err error, alert tls.AlertError) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "remote error" && e.Err.Error() == alert.Error()
}

// isOldVersion reports whether the server chose a version that it was not offered, as servers do that
// know no better. crypto/tls has no type for that.
func isOldVersion(err error) bool {
	return strings.Contains(err.Error(), "tls: server selected unsupported protocol version")
}
