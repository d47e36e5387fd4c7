package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"webhooks/shared/dynamo"
	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/seal"
)

// TestTokenKeyOfTheStore starts the service and imports, with and without the key that the store's tokens are sealed with.
func TestTokenKeyOfTheStore(t *testing.T) {
	p := place{dir: t.TempDir()}
	s, key, location := newServed(t, p)
	s.stop(t)
	export, _ := exportOf(t, p)
	const gone = "token key file FILE does not exist, but .webhooks/webhooks.db has webhooks whose tokens need it: restore it from its backup, or pass its path with --token-key-file"
	const wrong = "FILE is not the token key file of the webhooks in .webhooks/webhooks.db: restore the right one from its backup, or pass its path with --token-key-file ("
	right, other := mustRead(t, p.keyFile()), mustRead(t, newKeyFile(t))
	must(t, os.Remove(p.keyFile()))
	for _, tt := range []struct {
		name string
		file []byte // nil if it does not exist
		want string // empty if the commands succeed
	}{
		{"none", nil, gone},
		{"another store's", other, wrong},
		{"the right one", right, ""},
		{"a new one above the right one", slices.Concat(other, right), ""},
	} {
		for file, flags := range map[string][]string{filepath.Join(".webhooks", "token.key"): nil, "named.key": {"--token-key-file", "named.key"}} {
			t.Run(tt.name+" in "+file, func(t *testing.T) {
				path := filepath.Join(p.dir, file)
				if tt.file != nil {
					must(t, os.WriteFile(path, tt.file, 0o600))
					t.Cleanup(func() { must(t, os.Remove(path)) })
				}
				if tt.want == "" {
					s := startServer(t, p, flags...)
					defer s.stop(t)
					if status, _, body := s.request(t, "GET", location, key, ""); status != 200 {
						t.Errorf("got %d %s", status, body)
					}
					importOf(t, p, export, p, flags...)
					return
				}
				want := strings.ReplaceAll(tt.want, "FILE", file) + "…"
				mustFail(t, newTool(t, p.dir, append([]string{"serve", "--addr", "127.0.0.1:0"}, flags...)...), want)
				load := newTool(t, p.dir, append([]string{"import", "-", "--export-key-file", exportKey}, flags...)...)
				load.Stdin = strings.NewReader(export)
				mustFail(t, load, want)
				if _, err := os.Stat(path); tt.file == nil && err == nil {
					t.Errorf("%s was created", file)
				}
			})
		}
	}
}

// TestTokenKeyFromPipe passes the key of a store through a pipe, after a signal has stopped a service that waits for one.
func TestTokenKeyFromPipe(t *testing.T) {
	p := place{dir: t.TempDir()}
	s, key, location := newServed(t, p)
	s.stop(t)
	pipe := filepath.Join(p.dir, "pipe")
	must(t, syscall.Mkfifo(pipe, 0o600))
	waiting := start(t, newTool(t, p.dir, "serve", "--addr", "127.0.0.1:0", "--token-key-file", pipe))
	writer, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits for the reader
	must(t, err)
	_ = waiting.cmd.Process.Signal(syscall.SIGTERM)
	if got := waiting.wait(t); got.code != 0 || !strings.Contains(got.stderr, "stopped by a signal before the service was ready") {
		t.Errorf("got exit code %d after a signal, want 0\nstderr: %s", got.code, got.stderr)
	}
	must(t, writer.Close())

	go func() { _ = os.WriteFile(pipe, mustRead(t, p.keyFile()), 0) }()
	s = startServer(t, p, "--token-key-file", pipe)
	if status, _, body := s.request(t, "GET", location, key, ""); status != 200 {
		t.Errorf("got %d %s", status, body)
	}
}

func TestZeroTokenKey(t *testing.T) {
	p := place{dir: t.TempDir()}
	must(t, os.MkdirAll(filepath.Dir(p.keyFile()), 0o700))
	must(t, os.WriteFile(p.keyFile(), []byte(base64.StdEncoding.EncodeToString(make([]byte, seal.KeySize))), 0o600))
	if s := startServer(t, p); !strings.Contains(s.stderr.String(), "a token key is all zero bytes") {
		t.Errorf("no warning\nstderr: %s", &s.stderr)
	}
}

// newKMSKey creates a key in the KMS of moto server and returns the flags for it. Without moto server it skips the test, or fails
// it in CI.
func newKMSKey(t *testing.T) (flags []string) {
	t.Helper()
	endpoint := dynamotest.Service(t, motoEndpoint)
	config := dynamo.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
	key, err := newKMSClient(config, endpoint).CreateKey(t.Context(), &kms.CreateKeyInput{})
	must(t, err)
	return []string{"--kms-key", aws.ToString(key.KeyMetadata.KeyId), "--kms-endpoint", endpoint}
}

func TestUnusableKMSKey(t *testing.T) {
	underKMS, p := newKMSKey(t), onDynamoDB(t)
	mustRun(t, newTool(t, p.dir, p.args("tables", "create")...))
	underKMS[1] = "00000000-0000-0000-0000-000000000000"
	mustFail(t, newTool(t, p.dir, p.args(append([]string{"serve", "--addr", "127.0.0.1:0"}, underKMS...)...)...), "cannot use the KMS key…")
}
