package endpoint

import (
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFromEnvironment(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte(certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	truncated := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw[:100]}))
	const local = "http://127.0.0.1:8000"
	tests := []struct {
		name        string
		environment map[string]string
		unchecked   bool
		networks    []string
		authorities bool
		warnings    []string
		err         string
	}{
		{name: "nothing set"},
		{name: "enforce", environment: map[string]string{"WEBHOOKS_TLS_CHECK": "enforce"}},
		{name: "off, local database", environment: map[string]string{"WEBHOOKS_TLS_CHECK": "off", "WEBHOOKS_DYNAMODB_ENDPOINT": local},
			unchecked: true, warnings: []string{WarningTLSCheckOff}},
		{name: "off, AWS", environment: map[string]string{"WEBHOOKS_TLS_CHECK": "off", "WEBHOOKS_CA_PEM": "none"},
			err: "WEBHOOKS_CA_PEM contains no certificate: use certificates in PEM form\n" +
				"WEBHOOKS_TLS_CHECK=off is for local development only: it requires a local WEBHOOKS_DYNAMODB_ENDPOINT"},
		{name: "unknown word", environment: map[string]string{"WEBHOOKS_TLS_CHECK": "false"},
			err: `WEBHOOKS_TLS_CHECK is "false": it must be "enforce", "off" or empty`},
		{name: "networks", environment: map[string]string{"WEBHOOKS_ALLOW_NETWORKS": "10.0.0.0/8, fd00::/8,"},
			networks: []string{"10.0.0.0/8", "fd00::/8"}, warnings: []string{WarningNetwork + ": 10.0.0.0/8", WarningNetwork + ": fd00::/8"}},
		{name: "address in a network", environment: map[string]string{"WEBHOOKS_ALLOW_NETWORKS": "10.1.2.3/8"},
			err: `WEBHOOKS_ALLOW_NETWORKS: "10.1.2.3/8" is an address in a network: use 10.0.0.0/8 for the network`},
		{name: "authority as text", environment: map[string]string{"WEBHOOKS_CA_PEM": certificate}, authorities: true, warnings: []string{WarningAuthorities}},
		{name: "authority in a file", environment: map[string]string{"WEBHOOKS_CA_FILE": file}, authorities: true, warnings: []string{WarningAuthorities}},
		{name: "no authority in the file", environment: map[string]string{"WEBHOOKS_CA_FILE": os.DevNull},
			err: "WEBHOOKS_CA_FILE: " + os.DevNull + " contains no certificate: use certificates in PEM form"},
		{name: "damaged authority", environment: map[string]string{"WEBHOOKS_CA_PEM": certificate + strings.Replace(certificate, "M", "!", 1)},
			err: "WEBHOOKS_CA_PEM contains 2 certificates, of which number 2 is damaged: it is not in PEM form"},
		{name: "truncated authority", environment: map[string]string{"WEBHOOKS_CA_PEM": truncated + certificate},
			err: "WEBHOOKS_CA_PEM contains 2 certificates, of which number 1 is damaged: x509: malformed certificate"},
		{name: "no file", environment: map[string]string{"WEBHOOKS_CA_FILE": "/nowhere/ca.pem"},
			err: "WEBHOOKS_CA_FILE: open /nowhere/ca.pem: no such file or directory: use a file with certificates in PEM form"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := FromEnvironment(func(name string) string { return test.environment[name] }, time.Now)
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var networks []netip.Prefix
			for _, network := range test.networks {
				networks = append(networks, netip.MustParsePrefix(network))
			}
			if !slices.Equal(got.Warnings, test.warnings) {
				t.Errorf("warnings %q, want %q", got.Warnings, test.warnings)
			}
			checker, checked := got.TLS.(*Checker)
			if checked == test.unchecked {
				t.Fatalf("checker %T", got.TLS)
			}
			if !checked {
				return
			}
			if !slices.Equal(checker.Policy.AllowedNetworks, networks) || checker.Now == nil {
				t.Errorf("checker %+v", checker)
			}
			if trusts(checker.RootCAs, server.Certificate()) != test.authorities {
				t.Errorf("trusts the additional authority: %v, want %v", !test.authorities, test.authorities)
			}
		})
	}
}

// trusts reports whether the authorities (the system's if nil) have signed a certificate.
func trusts(authorities *x509.CertPool, certificate *x509.Certificate) bool {
	_, err := certificate.Verify(x509.VerifyOptions{Roots: authorities})
	return err == nil
}
