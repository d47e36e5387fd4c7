package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// leaf is what a receiver's certificate says.
type leaf struct {
	host    string // a name or an address
	expired bool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	template := template509("Authority of the tests")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	key := newKey(t)
	return &authority{certificate: sign(t, template, template, key, key), key: key}
}

// file writes the authority's certificate as PEM.
func (a *authority) file(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authority.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// issue makes a certificate that the authority vouches for.
func (a *authority) issue(t *testing.T, l leaf) tls.Certificate {
	t.Helper()
	key := newKey(t)
	certificate := sign(t, l.template(), a.certificate, key, a.key)
	return tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}
}

// selfSigned makes a certificate that only it itself vouches for.
func selfSigned(t *testing.T, l leaf) tls.Certificate {
	t.Helper()
	key := newKey(t)
	certificate := sign(t, l.template(), l.template(), key, key)
	return tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}
}

func (l leaf) template() *x509.Certificate {
	template := template509("Receiver of the tests")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if address := net.ParseIP(l.host); address != nil {
		template.IPAddresses = []net.IP{address}
	} else {
		template.DNSNames = []string{l.host}
	}
	if l.expired {
		template.NotAfter = time.Now().Add(-time.Minute)
	}
	return template
}

func template509(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign makes a certificate of a template for a key, signed by the parent's key.
func sign(t *testing.T, template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}
