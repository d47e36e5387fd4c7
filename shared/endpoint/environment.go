package endpoint

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"
)

// TLSChecker is a [*Checker], or [NoCheck].
type TLSChecker interface {
	CheckTLS(ctx context.Context, u URL) error
}

// Warnings for settings that weaken security, to be logged at startup.
const (
	WarningTLSCheckOff = "the TLS check is off: webhooks are accepted for any host, regardless of its certificate and address"
	WarningAuthorities = "additional certificate authorities are trusted for webhook URLs"
	WarningNetwork     = "webhook URLs may point to addresses in this network, even if they are not public"
)

// Settings are a Lambda function's settings for webhook hosts.
type Settings struct {
	TLS TLSChecker
	// Warnings are about settings that weaken security, to be logged at startup.
	Warnings []string

	dialer Dialer
	roots  *x509.CertPool
}

// NewClient returns a client that only connects to the addresses that the settings allow, and always verifies certificates, even if
// TLS is [NoCheck].
func (s Settings) NewClient(now func() time.Time) *Client { return NewClient(&s.dialer, s.roots, now) }

// FromEnvironment reads the settings of a Lambda function with getenv. Each may be empty:
//
//	WEBHOOKS_ALLOW_NETWORKS  networks (CIDR, separated by commas) to allow although they are not public
//	WEBHOOKS_CA_FILE         file of certificate authorities (PEM) to trust in addition to the system's
//	WEBHOOKS_CA_PEM          the same as text
//	WEBHOOKS_TLS_CHECK       "enforce", which is the default, or "off", which requires a local
//	                         WEBHOOKS_DYNAMODB_ENDPOINT
//
// The error lists every invalid setting.
func FromEnvironment(getenv func(string) string, now func() time.Time) (Settings, error) {
	var s Settings
	networks, networksErr := parseNetworks(getenv("WEBHOOKS_ALLOW_NETWORKS"))
	authorities, authoritiesErr := authorities(getenv("WEBHOOKS_CA_FILE"), getenv("WEBHOOKS_CA_PEM"))
	off, offErr := checkIsOff(getenv("WEBHOOKS_TLS_CHECK"), getenv("WEBHOOKS_DYNAMODB_ENDPOINT"))
	if err := errors.Join(networksErr, authoritiesErr, offErr); err != nil {
		return Settings{}, err
	}
	s.dialer, s.roots = Dialer{Policy: Policy{AllowedNetworks: networks}}, authorities
	s.TLS = &Checker{Dialer: s.dialer, RootCAs: s.roots, Now: now}
	if off {
		s.TLS = NoCheck{}
		s.Warnings = append(s.Warnings, WarningTLSCheckOff)
	}
	if authorities != nil {
		s.Warnings = append(s.Warnings, WarningAuthorities)
	}
	for _, network := range networks {
		s.Warnings = append(s.Warnings, WarningNetwork+": "+network.String())
	}
	return s, nil
}

func parseNetworks(text string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		network, err := ParseNetwork(part)
		if err != nil {
			return nil, fmt.Errorf("WEBHOOKS_ALLOW_NETWORKS: %w", err)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

// authorities returns the system's certificate authorities together with those of a file and a text, or nil, which also
// means the system's, if there are no others.
func authorities(file, text string) (*x509.CertPool, error) {
	if file == "" && text == "" {
		return nil, nil
	}
	pool, err := Authorities("WEBHOOKS_CA_FILE", file)
	if err != nil || text == "" {
		return pool, err
	}
	if err := addCertificates(pool, text); err != nil {
		return nil, fmt.Errorf("WEBHOOKS_CA_PEM %w", err)
	}
	return pool, nil
}

// Authorities returns the system's certificate authorities and, unless file is empty, those in that PEM file. Errors name
// the setting that the file comes from.
func Authorities(setting, file string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("reading the system's certificate authorities: %w", err)
	}
	if file == "" {
		return pool, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: use a file with certificates in PEM form", setting, err)
	}
	if err := addCertificates(pool, string(content)); err != nil {
		return nil, fmt.Errorf("%s: %s %w", setting, file, err)
	}
	return pool, nil
}

// addCertificates adds the certificates in a PEM text to a pool. [x509.CertPool.AppendCertsFromPEM] would silently leave
// out damaged ones.
func addCertificates(pool *x509.CertPool, text string) error {
	const begin = "-----BEGIN CERTIFICATE-----"
	parts := strings.Split(text, begin)[1:]
	if len(parts) == 0 {
		return errors.New("contains no certificate: use certificates in PEM form")
	}
	for i, part := range parts {
		damaged := fmt.Sprintf("contains %d certificates, of which number %d is damaged", len(parts), i+1)
		block, _ := pem.Decode([]byte(begin + part))
		if block == nil {
			return errors.New(damaged + ": it is not in PEM form")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("%s: %w", damaged, err)
		}
		pool.AddCert(certificate)
	}
	return nil
}

func checkIsOff(setting, dynamoDBEndpoint string) (bool, error) {
	switch {
	case setting == "" || setting == "enforce":
		return false, nil
	case setting != "off":
		return false, fmt.Errorf(`WEBHOOKS_TLS_CHECK is %q: it must be "enforce", "off" or empty`, setting)
	case !LocalOverride(dynamoDBEndpoint):
		return false, errors.New("WEBHOOKS_TLS_CHECK=off is for local development only: it requires a local WEBHOOKS_DYNAMODB_ENDPOINT")
	}
	return true, nil
}
