package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"

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
		creator.TLS = s.checker()
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
	h := &health{ping: s.store.Ping, now: s.now, log: s.log}
	return &system{
		health: shared.Public(h.respond),
		description: shared.Public(func(context.Context) (int, any) {
			return http.StatusOK, json.RawMessage(description)
		}),
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
func (s service) checker() *endpoint.Checker {
	checker := &endpoint.Checker{Resolver: net.DefaultResolver, RootCAs: s.cmd.authorities, Now: s.now}
	for _, n := range s.cmd.AllowNetworks {
		checker.Policy.AllowedNetworks = append(checker.Policy.AllowedNetworks, netip.Prefix(n))
	}
	if s.sandbox != nil {
		checker.Policy.AllowedNetworks = append(checker.Policy.AllowedNetworks, sandbox.Networks()...)
		checker.RootCAs.AddCert(s.sandbox.Authority.Certificate())
	}
	if checker.RootCAs.Equal(x509.NewCertPool()) {
		s.log.Warn("this machine trusts no certificate authority, so the TLS check refuses every webhook: install its certificates (the package ca-certificates), or give --ca-file")
	}
	return checker
}
