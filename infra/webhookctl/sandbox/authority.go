package sandbox

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"path/filepath"
	"time"
)

// AuthorityFile is the name of the file with the authority's certificate, for example for curl --cacert.
const AuthorityFile = "ca.pem"

const (
	authorityKeyFile = "ca-key.pem"

	authorityLifetime = 2 * 365 * 24 * time.Hour
	// authorityReserve is how long an existing authority must still be valid to be reused.
	authorityReserve = 60 * 24 * time.Hour
	leafLifetime     = 30 * 24 * time.Hour
	// clockSkew is how far in the past certificates become valid, for clients whose clocks are behind.
	clockSkew = time.Hour
)

// ContainerHost is the name of this machine in Docker containers.
const ContainerHost = "host.docker.internal"

// Authority is a certificate authority for one machine. Its certificate is constrained to loopback names
// and addresses and to [ContainerHost], so trusting it is harmless even if its key is stolen.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// LoadOrCreateAuthority returns the authority kept in dir. It creates one if there is none or if it will
// expire soon.
func LoadOrCreateAuthority(dir string, now time.Time) (*Authority, error) {
	a, err := loadAuthority(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && now.After(a.certificate.NotAfter.Add(-authorityReserve)) {
		a, err = createAuthority(dir, now)
	}
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	return a, nil
}

// Certificate returns the authority's certificate, which clients have to trust.
func (a *Authority) Certificate() *x509.Certificate { return a.certificate }

// Leaf issues a new server certificate for localhost, 127.0.0.1, ::1 and, unless the authority is an old one, [ContainerHost]. It is
// valid for 30 days and not saved.
func (a *Authority) Leaf(now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template, err := newTemplate("webhooks sample receiver", now, leafLifetime)
	if err != nil {
		return tls.Certificate{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames = a.certificate.PermittedDNSDomains
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

func createAuthority(dir string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := signAuthority(key, now)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &Authority{certificate: certificate, key: key}
	return a, a.save(dir)
}

// signAuthority returns the authority's own certificate, with its constraints.
func signAuthority(key *ecdsa.PrivateKey, now time.Time) ([]byte, error) {
	template, err := newTemplate("webhooks development CA", now, authorityLifetime)
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} // neither mail nor clients
	template.PermittedDNSDomainsCritical = true
	template.PermittedDNSDomains = []string{"localhost", ContainerHost}
	template.PermittedIPRanges = []*net.IPNet{
		{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
		{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
	}
	return x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
}

func newTemplate(name string, now time.Time, lifetime time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(lifetime),
	}, nil
}

// save writes the key and the certificate to one file, so that they always match, and the certificate
// to another one.
func (a *Authority) save(dir string) error {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return err
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := replaceFile(filepath.Join(dir, authorityKeyFile), append(key, a.pem()...), 0o600); err != nil {
		return err
	}
	return a.publish(dir)
}

// publish writes the certificate for other programs to read.
func (a *Authority) publish(dir string) error {
	return replaceFile(filepath.Join(dir, AuthorityFile), a.pem(), 0o644)
}

func (a *Authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

func loadAuthority(dir string) (*Authority, error) {
	path := filepath.Join(dir, authorityKeyFile)
	bundle, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(bundle, bundle)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged (%w): remove it and start again", path, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%s is not a certificate authority of this program: remove it and start again", path)
	}
	a := &Authority{certificate: pair.Leaf, key: key}
	return a, a.publish(dir)
}
