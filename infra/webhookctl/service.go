package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"

	"webhooks/infra/webhookctl/sandbox"
	"webhooks/shared/access"
	"webhooks/shared/api"
	"webhooks/shared/api/openapi"
	"webhooks/shared/endpoint"
)

// service is the API put together of its parts.
type service struct {
	*console

	cmd     *serveCmd
	storage *storageFlags
	store   *opened
	sandbox *sandbox.Sandbox // nil without --dev
}

// handler is all that serve answers.
func (s service) handler(ctx context.Context) (http.Handler, error) {
	sealer, err := s.cmd.TokenKeys.sealer(ctx, s.console, s.storage, s.store)
	if err != nil {
		return nil, err
	}
	creator := api.Creator{
		Store:  s.store,
		Sealer: sealer,
		TLS:    endpoint.NoCheck{},
		Quota:  s.cmd.Quota,
		Now:    s.now,
		Random: s.random,
	}
	if s.cmd.TLSCheck != tlsCheckOff {
		if creator.TLS, err = s.checker(); err != nil {
			return nil, err
		}
	}
	description, err := openapi.JSON()
	if err != nil {
		return nil, err
	}
	shared := api.Service{
		Keys:   access.NewAuthenticator(s.store, s.now),
		Log:    s.log,
		Now:    s.now,
		Random: s.random,
	}
	return &system{
		health:      &health{ping: s.store.Ping, now: s.now, log: s.log},
		description: description,
		now:         s.now,
		random:      s.random,
		api: shared.Handler(
			api.ListWebhooks(s.store),
			api.CreateWebhook(creator),
			api.ListWebhookTypes(s.store),
			api.GetWebhook(s.store),
			api.DeleteWebhook(s.store),
		),
	}, nil
}

// checker is the TLS check with what the settings add to it.
func (s service) checker() (*endpoint.Checker, error) {
	checker := &endpoint.Checker{Resolver: net.DefaultResolver, Now: s.now}
	for _, n := range s.cmd.AllowNetworks {
		checker.Policy.AllowedNetworks = append(checker.Policy.AllowedNetworks, netip.Prefix(n))
	}
	if s.sandbox != nil {
		checker.Policy.AllowedNetworks = append(checker.Policy.AllowedNetworks, sandbox.Networks()...)
	}
	var err error
	if checker.RootCAs, err = s.authorities(); err != nil {
		return nil, err
	}
	if checker.RootCAs.Equal(x509.NewCertPool()) {
		s.log.Warn("this machine trusts no certificate authority, so the TLS check refuses every webhook: install its certificates (the package ca-certificates), or give --ca-file")
	}
	return checker, nil
}

// authorities are the system's, and those that the settings add.
func (s service) authorities() (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("reading the system's certificate authorities: %w", err)
	}
	if s.sandbox != nil {
		pool.AddCert(s.sandbox.Authority.Certificate())
	}
	return pool, s.addAuthorities(pool)
}

// addAuthorities adds those of --ca-file.
func (s service) addAuthorities(pool *x509.CertPool) error {
	if s.cmd.CAFile == "" {
		return nil
	}
	text, err := os.ReadFile(s.cmd.CAFile)
	if err != nil {
		return fmt.Errorf("--ca-file: %w: give a file with certificates in PEM form", err)
	}
	if !pool.AppendCertsFromPEM(text) {
		return fmt.Errorf("--ca-file %s has no certificate in it: give a file with certificates in PEM form", s.cmd.CAFile)
	}
	return nil
}
