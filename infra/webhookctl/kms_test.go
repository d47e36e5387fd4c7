package main

import (
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"webhooks/shared/dynamo"
	"webhooks/shared/dynamo/dynamotest"
)

// newKMSKey creates a key in the KMS of moto server and returns the flags for it. Without a server the
// test is skipped; in CI it fails.
func newKMSKey(t *testing.T) (flags []string) {
	t.Helper()
	const variable = "WEBHOOKS_TEST_MOTO_ENDPOINT"
	endpoint := os.Getenv(variable)
	if endpoint == "" && os.Getenv("CI") != "" {
		t.Fatalf("%s is not set: in CI this test must run", variable)
	} else if endpoint == "" {
		t.Skipf("%s is not set: run make test, which starts moto server", variable)
	}
	config := dynamo.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
	key, err := newKMSClient(config, endpoint).CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--kms-key", aws.ToString(key.KeyMetadata.KeyId), "--kms-endpoint", endpoint}
}

// TestMoveToKMSAndBack moves a company to a store whose token keys are encrypted under a KMS key, creates
// a webhook there, and moves the company back to a token key file.
func TestMoveToKMSAndBack(t *testing.T) {
	underKMS := newKMSKey(t)
	first, key, tokens := newMoved(t)
	second, third := onDynamoDB(t, dynamotest.Endpoint(t)), place{dir: t.TempDir()}
	mustRun(t, newTool(t, second.dir, second.args("tables", "create")...))
	importOf(t, second, exportOf(t, first), first, underKMS...)
	if _, err := os.Stat(second.keyFile()); err == nil {
		t.Error("a token key file was created in addition to a KMS key")
	}
	wantKeyWorks(t, second, key, underKMS...)

	s := startServer(t, second, append(underKMS, "--tls-check", "off")...)
	status, _, body := s.request(t, "POST", "/webhooks", key, creation("https://example.com/"))
	if status != 201 {
		t.Fatalf("got %d %s", status, body)
	}
	s.stop(t)
	_, id, _ := strings.Cut(body, `"id":"`)
	_, token, _ := strings.Cut(body, `"token":"`)
	tokens[id[:29]] = strings.TrimSuffix(token, `"}`)

	back := exportOf(t, second, underKMS...)
	wantTokens(t, second, back, tokens)
	importOf(t, third, back, second)
	wantTokens(t, third, exportOf(t, third), tokens)
}

func TestUnusableKMSKey(t *testing.T) {
	underKMS := newKMSKey(t)
	p := onDynamoDB(t, dynamotest.Endpoint(t))
	mustRun(t, newTool(t, p.dir, p.args("tables", "create")...))
	underKMS[1] = "00000000-0000-0000-0000-000000000000"
	mustRefuse(t, newTool(t, p.dir, p.args(append([]string{"serve", "--addr", "127.0.0.1:0"}, underKMS...)...)...), "cannot use the KMS key…")
}
