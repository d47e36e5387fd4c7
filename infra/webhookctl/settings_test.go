package main

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webhooks/infra/webhookctl/sandbox"
)

// creation is a request body that makes a webhook at a URL.
func creation(url string) string {
	return `{"webhook":{"name":"n","url":"` + url + `","events":["a.b"]}}`
}

// newKey makes a key and the event type a.b.
func newKey(t *testing.T, p place) string {
	t.Helper()
	mustRun(t, newTool(t, p.dir, p.args("types", "add", "a.b")...))
	key, _ := mustRun(t, newTool(t, p.dir, p.args("keys", "create", "--company", "acme", "--permissions", "webhooks:read,webhooks:write")...))
	return strings.TrimSuffix(key, "\n")
}

// receiver listens for TLS on loopback with a certificate of an authority of its own, and gives its
// URL and a file with the authority.
func receiver(t *testing.T) (url, caFile string) {
	t.Helper()
	dir := t.TempDir()
	authority, err := sandbox.LoadOrCreateAuthority(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Leaf(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{leaf}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}()
	return "https://" + listener.Addr().String() + "/hook", filepath.Join(dir, sandbox.AuthorityFile)
}

func TestTLSCheckSettings(t *testing.T) {
	url, caFile := receiver(t)
	if block, _ := pem.Decode(mustRead(t, caFile)); block == nil {
		t.Fatal("the authority's file is no PEM")
	}
	const unreachable = `{"error":"TLS certificate validation failed: the host could not be reached"}`
	const untrusted = `{"error":"TLS certificate validation failed: no trusted authority issued the certificate, or the server does not send the intermediate certificates"}`
	tests := []struct {
		name  string
		flags []string
		want  int
		body  string // empty for any
	}{
		{"neither network nor authority", nil, 400, unreachable},
		{"the authority alone", []string{"--ca-file", caFile}, 400, unreachable},
		{"the network alone", []string{"--allow-network", "127.0.0.0/8"}, 400, untrusted},
		{"another network", []string{"--allow-network", "10.0.0.0/8", "--ca-file", caFile}, 400, unreachable},
		{"both", []string{"--allow-network", "127.0.0.0/8", "--ca-file", caFile}, 201, ""},
		{"the sandbox's authority is another", []string{"--dev"}, 400, untrusted},
		{"dev and the authority", []string{"--dev", "--ca-file", caFile}, 201, ""},
		{"dev without the check", []string{"--dev", "--tls-check", "off"}, 201, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := place{dir: t.TempDir()}
			key := newKey(t, p)
			s := startServer(t, p, tt.flags...)
			status, _, body := s.request(t, "POST", "/webhooks", key, creation(url))
			if status != tt.want || tt.body != "" && body != tt.body {
				t.Errorf("got %d %s, want %d %s", status, body, tt.want, tt.body)
			}
		})
	}
}

func TestQuotaSetting(t *testing.T) {
	p := place{dir: t.TempDir()}
	key := newKey(t, p)
	s := startServer(t, p, "--dev", "--tls-check", "off", "--quota", "1")
	for i, want := range []int{201, 409} {
		if status, _, body := s.request(t, "POST", "/webhooks", key, creation("https://example.com/")); status != want {
			t.Errorf("creation %d: got %d %s, want %d", i+1, status, body, want)
		}
	}
}

func TestTokenKeyFile(t *testing.T) {
	p := place{dir: t.TempDir()}
	const warning = "a new token key was made: BACK IT UP, without it no webhook token can be read again"
	for _, tt := range []struct {
		name  string
		flags []string
		file  string
	}{
		{"in the data folder", nil, filepath.Join(".webhooks", "token.key")},
		{"elsewhere", []string{"--token-key-file", "other.key"}, "other.key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startServer(t, p, tt.flags...)
			if got := s.logged(warning, "file"); got != tt.file || s.logged(warning, "level") != "WARN" {
				t.Errorf("at the first start: warned of %q, want %q\nstderr: %s", got, tt.file, &s.stderr)
			}
			checkMode(t, filepath.Join(p.dir, tt.file), 0o600)
			first := mustRead(t, filepath.Join(p.dir, tt.file))
			s.stop(t)
			s = startServer(t, p, tt.flags...)
			if s.logged(warning, "level") != "" || string(mustRead(t, filepath.Join(p.dir, tt.file))) != string(first) {
				t.Errorf("at the second start: a new key\nstderr: %s", &s.stderr)
			}
		})
	}
}

func TestTextLog(t *testing.T) {
	cmd := newTool(t, t.TempDir(), "serve", "--addr", "127.0.0.1:0", "--log-format", "text")
	s := startProcess(t, cmd)
	const want = " level=WARN msg=\"a new token key was made: "
	s.waitFor(t, want, func() bool { return strings.Contains(s.stderr.String(), want) })
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
