package main

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
)

func TestTLSCheckOff(t *testing.T) {
	const accepted = ""
	const refused = "--tls-check off is for trying out on one machine alone: use it with --dev, or with --store dynamodb and a local --dynamodb-endpoint, or leave it out"
	const notDev = "--dev makes tables and an API key, which is for a local database alone: give the --dynamodb-endpoint of DynamoDB Local, or leave out --dev"
	tests := []struct {
		name     string
		store    string
		endpoint string
		dev      bool
		want     string
	}{
		{"sqlite", "sqlite", "", false, refused},
		{"sqlite with --dev", "sqlite", "", true, accepted},
		{"AWS", "dynamodb", "", false, refused},
		{"AWS with --dev", "dynamodb", "", true, refused},
		{"loopback", "dynamodb", "http://127.0.0.1:8000", false, accepted},
		{"loopback with --dev", "dynamodb", "http://127.0.0.1:8000", true, accepted},
		{"another loopback address", "dynamodb", "http://127.8.8.8:8000", false, accepted},
		{"loopback, IPv6", "dynamodb", "http://[::1]:8000", false, accepted},
		{"loopback, IPv4-mapped", "dynamodb", "http://[::ffff:127.0.0.1]:8000", false, accepted},
		{"localhost", "dynamodb", "http://localhost:8000", false, accepted},
		{"localhost in capitals", "dynamodb", "http://LOCALHOST:8000", false, accepted},
		{"private address", "dynamodb", "http://10.1.2.3:8000", false, accepted},
		{"private address, 172.16/12", "dynamodb", "http://172.17.0.1:8000", false, accepted},
		{"private address, IPv6", "dynamodb", "http://[fd12::1]:8000", false, accepted},
		{"Docker's host", "dynamodb", "http://host.docker.internal:8000", false, accepted},
		{"a container", "dynamodb", "http://dynamodb-local:8000", false, accepted},
		{"a region's endpoint", "dynamodb", "https://dynamodb.eu-west-1.amazonaws.com", false, refused},
		{"a region's endpoint with --dev", "dynamodb", "https://dynamodb.eu-west-1.amazonaws.com", true, refused},
		{"an endpoint for one account", "dynamodb", "https://123456789012.ddb.eu-west-1.amazonaws.com", false, refused},
		{"an interface endpoint", "dynamodb", "https://vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com", false, refused},
		{"AWS in China", "dynamodb", "https://dynamodb.cn-north-1.amazonaws.com.cn", false, refused},
		{"a public name", "dynamodb", "https://dynamodb.example.com", false, refused},
		{"a name that begins with localhost", "dynamodb", "https://localhost.example.com", false, refused},
		{"a name below localhost", "dynamodb", "https://a.localhost", false, refused},
		{"a public address", "dynamodb", "http://8.8.8.8:8000", false, refused},
		{"a public address, IPv6", "dynamodb", "http://[2001:4860:4860::8888]", false, refused},
		{"a public address as one number", "dynamodb", "http://134744072:8000", false, refused},
		{"a public address in hexadecimal", "dynamodb", "http://0x08080808:8000", false, refused},
		{"metadata", "dynamodb", "http://169.254.169.254", false, refused},
		{"every address", "dynamodb", "http://0.0.0.0:8000", false, refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			storage := &storageFlags{Store: tt.store, Data: ".webhooks", DynamoDBEndpoint: tt.endpoint}
			cmd := &serveCmd{Addr: "127.0.0.1:3000", Quota: 1, TLSCheck: "off", Dev: tt.dev}
			checkError(t, "off", cmd.validate(storage), tt.want)

			// With the check, only --dev depends on the database.
			cmd.TLSCheck = "enforce"
			want := accepted
			if tt.dev && tt.want == refused {
				want = notDev
			}
			checkError(t, "enforce", cmd.validate(storage), want)
		})
	}
}

func checkError(t *testing.T, what string, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestDevIsLoopbackOnly(t *testing.T) {
	tests := []struct {
		addr string
		want bool
	}{
		{"127.0.0.1:3000", true},
		{"127.1.2.3:0", true},
		{"[::1]:3000", true},
		{"[::ffff:127.0.0.1]:3000", true},
		{"localhost:3000", true},
		{":3000", false},
		{"0.0.0.0:3000", false},
		{"[::]:3000", false},
		{"192.168.1.2:3000", false},
		{"localhost.example.com:3000", false},
		{"laptop:3000", false},
		{"localhost", false},
	}
	for _, tt := range tests {
		t.Run(tt.addr, func(t *testing.T) {
			if got := isLoopbackAddr(tt.addr); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestEndpointURL(t *testing.T) {
	tests := []struct {
		endpoint string
		valid    bool
	}{
		{"http://127.0.0.1:8000", true},
		{"http://127.0.0.1:8000/", true},
		{"https://dynamodb.eu-west-1.amazonaws.com", true},
		{"127.0.0.1:8000", false},
		{"ftp://127.0.0.1", false},
		{"http://", false},
		{"http://user:secret@127.0.0.1", false},
		{"http://127.0.0.1/path", false},
		{"http://127.0.0.1?a=b", false},
		{"http://127.0.0.1#a", false},
	}
	for _, tt := range tests {
		t.Run(tt.endpoint, func(t *testing.T) {
			want := ""
			if !tt.valid {
				want = "--dynamodb-endpoint must be a URL of scheme and host, such as http://127.0.0.1:8000"
			}
			checkError(t, "endpoint", validateEndpoint("--dynamodb-endpoint", tt.endpoint), want)
		})
	}
}

func TestWarnings(t *testing.T) {
	safe := serveCmd{Addr: "127.0.0.1:3000", TLSCheck: "enforce"}
	tests := []struct {
		name   string
		change func(*serveCmd)
		want   string
	}{
		{"nothing weak", func(*serveCmd) {}, ""},
		{"TLS check", func(c *serveCmd) { c.TLSCheck = "off" },
			`level=WARN msg="the TLS check is off: webhooks are accepted for any host, whatever its certificate and address"`},
		{"CA file", func(c *serveCmd) { c.CAFile = "ca.pem" },
			`level=WARN msg="additional certificate authorities are trusted for webhook URLs" ca_file=ca.pem`},
		{"network", func(c *serveCmd) { c.AllowNetworks = []network{network(netip.MustParsePrefix("10.0.0.0/8"))} },
			`level=WARN msg="webhook URLs may lead into a network that need not be public" network=10.0.0.0/8`},
		{"dev", func(c *serveCmd) { c.Dev = true },
			`level=WARN msg="development mode: webhook URLs may lead to this machine, and a certificate authority kept in the data folder is trusted"`},
		{"all addresses", func(c *serveCmd) { c.Addr = ":3000" },
			`level=WARN msg="this is plain HTTP, reachable from other machines: put something in front that does TLS" addr=:3000`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := safe
			tt.change(&cmd)
			var out bytes.Buffer
			cmd.warn(slog.New(slog.NewTextHandler(&out, nil)), &storageFlags{Store: storeSQLite})
			_, got, _ := strings.Cut(strings.TrimSuffix(out.String(), "\n"), " ") // after the time
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestTokenKeyWarning(t *testing.T) {
	const local = "http://127.0.0.1:8000"
	const want = `level=WARN msg="webhook tokens are sealed with a key file, and the deployed functions use KMS: they cannot open such tokens; give --kms-key"`
	tests := []struct {
		name    string
		storage storageFlags
		kmsKey  string
		want    string
	}{
		{"sqlite", storageFlags{Store: storeSQLite}, "", ""},
		{"a local DynamoDB", storageFlags{Store: storeDynamoDB, DynamoDBEndpoint: local}, "", ""},
		{"AWS", storageFlags{Store: storeDynamoDB}, "", want},
		{"AWS by its endpoint", storageFlags{Store: storeDynamoDB, DynamoDBEndpoint: "https://dynamodb.eu-west-1.amazonaws.com"}, "", want},
		{"AWS and KMS", storageFlags{Store: storeDynamoDB}, "alias/webhooks", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			cmd := serveCmd{Addr: "127.0.0.1:3000", TLSCheck: "enforce", TokenKeys: tokenKeyFlags{KMSKey: tt.kmsKey}}
			cmd.warn(slog.New(slog.NewTextHandler(&out, nil)), &tt.storage)
			_, got, _ := strings.Cut(strings.TrimSuffix(out.String(), "\n"), " ") // after the time
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
