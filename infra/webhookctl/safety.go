package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"

	"webhooks/shared/endpoint"
)

const tlsCheckOff = "off"

// validate refuses settings that cannot work or must not be, before anything is made. It keeps
// what it reads: the certificate authorities.
func (cmd *serveCmd) validate(storage *storageFlags) error {
	if err := storage.validate(); err != nil {
		return err
	}
	if err := cmd.TokenKeys.validate(storage); err != nil {
		return err
	}
	if err := validateAddr(cmd.Addr); err != nil {
		return err
	}
	if err := cmd.validateReach(storage); err != nil {
		return err
	}
	if cmd.Quota < 1 {
		return fmt.Errorf("--quota is %d: it must be at least 1", cmd.Quota)
	}
	var err error
	cmd.authorities, err = endpoint.Authorities("--ca-file", cmd.CAFile)
	return err
}

// validateReach refuses what is for trying out alone where others could come in, or be harmed.
func (cmd *serveCmd) validateReach(storage *storageFlags) error {
	alone := isLoopbackAddr(cmd.Addr)
	switch {
	case cmd.TLSCheck == tlsCheckOff && !cmd.mayTrustAnybody(storage):
		return errors.New("--tls-check off is for trying out on one machine alone: use it with --dev, or with --store dynamodb and a local --dynamodb-endpoint, or leave it out")
	case cmd.Dev && !alone:
		return fmt.Errorf("--dev serves this machine alone, and --addr %s can be reached from others: use 127.0.0.1 or leave out --dev", cmd.Addr)
	case cmd.TLSCheck == tlsCheckOff && !alone:
		return fmt.Errorf("--tls-check off is for trying out on one machine alone, and --addr %s can be reached from others: use 127.0.0.1 or leave out --tls-check", cmd.Addr)
	case cmd.Dev && storage.Store == storeDynamoDB && !endpoint.LocalOverride(storage.DynamoDBEndpoint):
		return errors.New("--dev makes tables and an API key, which is for a local database alone: give the --dynamodb-endpoint of DynamoDB Local, or leave out --dev")
	}
	return nil
}

// mayTrustAnybody reports whether webhooks may be accepted without looking at what is behind their
// URLs: with a database that can only be somebody's own.
func (cmd *serveCmd) mayTrustAnybody(storage *storageFlags) bool {
	if storage.Store == storeDynamoDB {
		return endpoint.LocalOverride(storage.DynamoDBEndpoint)
	}
	return cmd.Dev
}

// validateAddr leaves to the system whether it has the address.
func validateAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("--addr %q is no address to listen on: write host and port, such as 127.0.0.1:3000", addr)
	}
	return nil
}

// warn makes settings that weaken safety hard to overlook.
func (cmd *serveCmd) warn(log *slog.Logger, storage *storageFlags) {
	cmd.TokenKeys.warn(log, storage)
	if cmd.TLSCheck == tlsCheckOff {
		log.Warn(endpoint.WarningTLSCheckOff)
	}
	if cmd.CAFile != "" {
		log.Warn(endpoint.WarningAuthorities, "ca_file", cmd.CAFile)
	}
	for _, n := range cmd.AllowNetworks {
		log.Warn(endpoint.WarningNetwork, "network", netip.Prefix(n).String())
	}
	if cmd.Dev {
		log.Warn("development mode: webhook URLs may lead to this machine, and a certificate authority kept in the data folder is trusted")
	}
	if !isLoopbackAddr(cmd.Addr) {
		log.Warn("this is plain HTTP, reachable from other machines: put something in front that does TLS", "addr", cmd.Addr)
	}
}
