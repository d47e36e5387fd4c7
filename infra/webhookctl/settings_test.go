package main

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"

	"webhooks/shared/endpoint"
)

const localEndpoint = "http://127.0.0.1:8000"

// TestLocalDevelopmentOnly checks where --dev and --tls-check off are accepted. TestLocalOverride checks
// which endpoints are local.
func TestLocalDevelopmentOnly(t *testing.T) {
	const aws = "https://dynamodb.eu-west-1.amazonaws.com"
	const accepted = ""
	const offRejected = "--tls-check off is for local development only: it requires --dev, or --store dynamodb with a local --dynamodb-endpoint"
	const devRejected = "--dev creates tables and an API key, so it requires a local database: pass the --dynamodb-endpoint of DynamoDB Local or remove --dev"
	const devReachable = "--dev is for local development only, but other machines could reach --addr :3000: use 127.0.0.1 or remove --dev"
	const offReachable = "--tls-check off is for local development only, but other machines could reach --addr :3000: use 127.0.0.1 or remove --tls-check"
	tests := []struct {
		name     string
		store    string
		endpoint string
		addr     string
		dev      bool
		off      string // with --tls-check off
		enforce  string // with --tls-check enforce
	}{
		{"sqlite", "sqlite", "", "127.0.0.1:3000", false, offRejected, accepted},
		{"sqlite on all addresses", "sqlite", "", ":3000", false, offRejected, accepted},
		{"sqlite with --dev", "sqlite", "", "127.0.0.1:3000", true, accepted, accepted},
		{"sqlite with --dev on all addresses", "sqlite", "", ":3000", true, devReachable, devReachable},
		{"AWS", "dynamodb", "", "127.0.0.1:3000", false, offRejected, accepted},
		{"AWS with --dev", "dynamodb", "", "127.0.0.1:3000", true, offRejected, devRejected},
		{"AWS by its endpoint", "dynamodb", aws, "127.0.0.1:3000", false, offRejected, accepted},
		{"AWS by its endpoint with --dev", "dynamodb", aws, "127.0.0.1:3000", true, offRejected, devRejected},
		{"local", "dynamodb", localEndpoint, "127.0.0.1:3000", false, accepted, accepted},
		{"local on all addresses", "dynamodb", localEndpoint, ":3000", false, offReachable, accepted},
		{"local with --dev", "dynamodb", localEndpoint, "127.0.0.1:3000", true, accepted, accepted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			storage := &storageFlags{Store: tt.store, Data: ".webhooks", DynamoDBEndpoint: tt.endpoint}
			for check, want := range map[string]string{"off": tt.off, "enforce": tt.enforce} {
				got := ""
				if err := (&serveCmd{Addr: tt.addr, Quota: 1, TLSCheck: check, Dev: tt.dev}).validate(storage); err != nil {
					got = err.Error()
				}
				if got != want {
					t.Errorf("--tls-check %s: got %q, want %q", check, got, want)
				}
			}
		})
	}
}

func TestAddressesAndEndpoints(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.1.2.3:0":                true,
		"[::1]:3000":                 true,
		"[::ffff:127.0.0.1]:3000":    true,
		"LOCALHOST:3000":             true,
		"0.0.0.0:3000":               false,
		"[::]:3000":                  false,
		"192.168.1.2:3000":           false,
		"localhost.example.com:3000": false,
		"localhost":                  false,
	} {
		if got := isLoopbackAddr(addr); got != want {
			t.Errorf("%s: got loopback %v, want %v", addr, got, want)
		}
	}
	for endpoint, want := range map[string]bool{
		localEndpoint + "/":            true,
		"https://[::1]":                true,
		"127.0.0.1:8000":               false,
		"ftp://127.0.0.1":              false,
		"http://:8000":                 false,
		"http://user:secret@127.0.0.1": false,
		"http://127.0.0.1/path":        false,
		"http://127.0.0.1?a=b":         false,
		"http://127.0.0.1#a":           false,
	} {
		if err := validateEndpoint("--x", endpoint); (err == nil) != want {
			t.Errorf("%s: got %v, want it valid: %v", endpoint, err, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct {
		name   string
		change func(*serveCmd, *storageFlags)
		want   string // in the only line
	}{
		{"nothing weak", func(*serveCmd, *storageFlags) {}, ""},
		{"TLS check", func(c *serveCmd, _ *storageFlags) { c.TLSCheck = "off" }, endpoint.WarningTLSCheckOff},
		{"CA file", func(c *serveCmd, _ *storageFlags) { c.CAFile = "ca.pem" }, "ca_file=ca.pem"},
		{"network", func(c *serveCmd, _ *storageFlags) {
			c.AllowNetworks = []network{network(netip.MustParsePrefix("10.0.0.0/8"))}
		}, "network=10.0.0.0/8"},
		{"dev", func(c *serveCmd, _ *storageFlags) { c.Dev = true }, "development mode"},
		{"all addresses", func(c *serveCmd, _ *storageFlags) { c.Addr = ":3000" }, "addr=:3000"},
		{"key file in AWS", func(_ *serveCmd, s *storageFlags) { s.Store = storeDynamoDB }, "--kms-key"},
		{"KMS key in AWS", func(c *serveCmd, s *storageFlags) { s.Store, c.TokenKeys.KMSKey = storeDynamoDB, "alias/a" }, ""},
		{"key file, local", func(_ *serveCmd, s *storageFlags) { s.Store, s.DynamoDBEndpoint = storeDynamoDB, localEndpoint }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd, storage := &serveCmd{Addr: "127.0.0.1:3000", TLSCheck: "enforce"}, &storageFlags{Store: storeSQLite}
			tt.change(cmd, storage)
			var log bytes.Buffer
			cmd.warn(slog.New(slog.NewTextHandler(&log, nil)), storage)
			lines := strings.Count(log.String(), "level=WARN")
			if !strings.Contains(log.String(), tt.want) || lines != 1 && tt.want != "" || lines != 0 && tt.want == "" {
				t.Errorf("logged %q, want one warning with %q, or none", &log, tt.want)
			}
		})
	}
}

func TestAWSConfig(t *testing.T) {
	for name, tt := range map[string]struct {
		endpoint, region      string
		keyInEnv, regionInEnv string
		want                  string // endpoint, region, access key
	}{
		"local":                             {localEndpoint, "", "", "eu-west-1", localEndpoint + " us-east-1 local"},
		"local with a region":               {localEndpoint, "eu-north-1", "", "", localEndpoint + " eu-north-1 local"},
		"local with credentials":            {localEndpoint, "", "mine", "eu-west-1", localEndpoint + " eu-west-1 mine"},
		"local with credentials, no region": {localEndpoint, "", "mine", "", localEndpoint + " us-east-1 mine"},
		"AWS":                               {"", "", "mine", "eu-west-1", " eu-west-1 mine"},
		"AWS with a region":                 {"", "eu-north-1", "mine", "eu-west-1", " eu-north-1 mine"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, setting := range os.Environ() {
				if name, _, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "AWS_") {
					t.Setenv(name, "")
				}
			}
			t.Setenv("AWS_CONFIG_FILE", os.DevNull)
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
			t.Setenv("AWS_ACCESS_KEY_ID", tt.keyInEnv)
			t.Setenv("AWS_SECRET_ACCESS_KEY", tt.keyInEnv)
			t.Setenv("AWS_REGION", tt.regionInEnv)
			got, err := (&storageFlags{DynamoDBEndpoint: tt.endpoint, Region: tt.region}).awsConfig(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			credentials, err := got.Credentials.Retrieve(t.Context())
			if got := got.Endpoint + " " + got.Region + " " + credentials.AccessKeyID; err != nil || got != tt.want {
				t.Errorf("got %q and %v, want %q", got, err, tt.want)
			}
		})
	}
}

// TestLogFormat has no terminal, which gets text by default.
func TestLogFormat(t *testing.T) {
	for format, want := range map[string]string{"text": "time=", "json": "{", "auto": "{"} {
		var log bytes.Buffer
		newLogger(&log, format).Info("x")
		if !strings.HasPrefix(log.String(), want) {
			t.Errorf("%s: logged %q", format, &log)
		}
	}
}
