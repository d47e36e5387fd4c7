package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"webhooks/shared/endpoint"
)

const localEndpoint = "http://127.0.0.1:8000"

// TestLocalDevelopmentOnly checks where --dev and --tls-check off are accepted. TestLocalOverride in shared/endpoint checks which
// endpoints are local.
func TestLocalDevelopmentOnly(t *testing.T) {
	const loopback, anywhere, aws = "127.0.0.1:3000", ":3000", "https://dynamodb.eu-west-1.amazonaws.com"
	const offRejected, offReachable = "--tls-check off is for local development only: ", "--tls-check off is for local development only, but other machines could reach "
	const devRejected, devReachable = "--dev creates tables and an API key, so it requires a local database: ", "--dev is for local development only, but other machines could reach "
	for _, tt := range []struct {
		store, endpoint, addr string
		dev                   bool
		off, enforce          string // the error with --tls-check off, and without it
	}{
		{"sqlite", "", loopback, false, offRejected, ""},
		{"sqlite", "", anywhere, false, offRejected, ""},
		{"sqlite", "", loopback, true, "", ""},
		{"sqlite", "", anywhere, true, devReachable, devReachable},
		{"dynamodb", "", loopback, false, offRejected, ""},
		{"dynamodb", "", loopback, true, offRejected, devRejected},
		{"dynamodb", aws, loopback, false, offRejected, ""},
		{"dynamodb", aws, loopback, true, offRejected, devRejected},
		{"dynamodb", localEndpoint, loopback, false, "", ""},
		{"dynamodb", localEndpoint, anywhere, false, offReachable, ""},
		{"dynamodb", localEndpoint, loopback, true, "", ""},
	} {
		storage := &storageFlags{Store: tt.store, Data: ".webhooks", DynamoDBEndpoint: tt.endpoint}
		if tt.store == storeDynamoDB {
			storage.SQSEndpoint = localEndpoint
		}
		for check, want := range map[string]string{"off": tt.off, "enforce": tt.enforce} {
			err := (&serveCmd{Addr: tt.addr, Quota: 1, TLSCheck: check, Dev: tt.dev, Delivery: deliverFlags{Retention: minRetention, Concurrency: 1}}).validate(storage)
			if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
				t.Errorf("--tls-check %s with %+v: got %v", check, tt, err)
			}
		}
	}
}

func TestAddressesAndEndpoints(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.1.2.3:0": true, "[::1]:3000": true, "[::ffff:127.0.0.1]:3000": true, "LOCALHOST:3000": true,
		"0.0.0.0:3000": false, "[::]:3000": false, "192.168.1.2:3000": false, "localhost.example.com:3000": false, "localhost": false,
	} {
		if got := isLoopbackAddr(addr); got != want {
			t.Errorf("%s: got loopback %v, want %v", addr, got, want)
		}
	}
	for endpoint, want := range map[string]bool{
		"http://127.0.0.1:8000/": true, "https://[::1]": true, "127.0.0.1:8000": false, "ftp://127.0.0.1": false, "http://:8000": false,
		"http://user:secret@127.0.0.1": false, "http://127.0.0.1/path": false, "http://127.0.0.1?a=b": false, "http://127.0.0.1#a": false,
	} {
		if err := validateEndpoint("--x", endpoint); (err == nil) != want {
			t.Errorf("%s: got %v, want it valid: %v", endpoint, err, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	open := t.TempDir()
	must(t, os.Chmod(open, 0o720))
	for _, tt := range []struct {
		want   string // in the only warning; empty for none
		change func(*serveCmd, *storageFlags)
	}{
		{"", func(*serveCmd, *storageFlags) {}},
		{endpoint.WarningTLSCheckOff, func(c *serveCmd, _ *storageFlags) { c.TLSCheck = "off" }},
		{"ca_file=ca.pem", func(c *serveCmd, _ *storageFlags) { c.CAFile = "ca.pem" }},
		{"network=", func(c *serveCmd, _ *storageFlags) { c.AllowNetworks = make([]network, 1) }},
		{"development mode", func(c *serveCmd, _ *storageFlags) { c.Dev = true }},
		{"addr=:3000", func(c *serveCmd, _ *storageFlags) { c.Addr = ":3000" }},
		{"dir=" + open, func(_ *serveCmd, s *storageFlags) { s.Data = open }},
		{"--kms-key", func(_ *serveCmd, s *storageFlags) { s.Store = storeDynamoDB }},
		{"", func(c *serveCmd, s *storageFlags) { s.Store, c.TokenKeys.KMSKey = storeDynamoDB, "alias/a" }},
		{"", func(_ *serveCmd, s *storageFlags) { s.Store, s.DynamoDBEndpoint = storeDynamoDB, localEndpoint }},
	} {
		cmd, storage := &serveCmd{Addr: "127.0.0.1:3000", TLSCheck: "enforce"}, &storageFlags{Store: storeSQLite}
		tt.change(cmd, storage)
		var log bytes.Buffer
		cmd.warn(newLogger(&log, "text"), storage)
		warnings := strings.Count(log.String(), "level=WARN")
		if !strings.Contains(log.String(), tt.want) || warnings > 1 || (warnings == 0) != (tt.want == "") {
			t.Errorf("logged %q, want one warning with %q, or none", &log, tt.want)
		}
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

// TestMetadataService checks that credentials may come from the metadata service of EC2, but not those for a local endpoint.
func TestMetadataService(t *testing.T) {
	var asked atomic.Bool
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(true)
		http.NotFound(w, r)
	}))
	defer service.Close()
	for _, tt := range []struct {
		endpoint, key string
		want          bool
	}{
		{"https://vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com", "", true},
		{localEndpoint, "without a secret", false},
	} {
		asked.Store(false)
		tool := newTool(t, t.TempDir(), "types", "list", "--store", "dynamodb", "--region", "eu-west-1", "--dynamodb-endpoint", tt.endpoint)
		tool.Env = append(tool.Env, "AWS_EC2_METADATA_DISABLED=", "AWS_EC2_METADATA_SERVICE_ENDPOINT="+service.URL, "AWS_ACCESS_KEY_ID="+tt.key)
		if got := start(t, tool).wait(t); got.code != 1 || asked.Load() != tt.want {
			t.Errorf("%s: asked the metadata service: %v, want %v\nstderr: %s", tt.endpoint, asked.Load(), tt.want, got.stderr)
		}
	}
}

// However few files the process can open, attempts leave some for clients and the database.
func TestAttemptSlots(t *testing.T) {
	for files, want := range map[int]int{64: 1, 256: 21, 1024: 149, 8192: 1024, 1_000_000: 1024} {
		if got := attemptSlots(files, 1024); got != want {
			t.Errorf("with %d files: got %d, want %d", files, got, want)
		}
	}
}
