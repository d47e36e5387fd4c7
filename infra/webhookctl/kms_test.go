package main

import (
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"webhooks/shared/dynamo"
)

// newKMSKey creates a key in the KMS of moto server and returns the flags for it. Without moto server it skips the test, or fails
// it in CI.
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
	must(t, err)
	return []string{"--kms-key", aws.ToString(key.KeyMetadata.KeyId), "--kms-endpoint", endpoint}
}

// TestMoveToKMSAndBack moves a company to a store whose token keys are encrypted under a KMS key, creates a webhook there, and
// moves the company on to a store with a token key file.
func TestMoveToKMSAndBack(t *testing.T) {
	underKMS := newKMSKey(t)
	first, key, tokens := newMoved(t)
	second, third := onDynamoDB(t), place{dir: t.TempDir()}
	mustRun(t, newTool(t, second.dir, second.args("tables", "create")...))
	export, _ := exportOf(t, first)
	importOf(t, second, export, first, underKMS...)
	if _, err := os.Stat(second.keyFile()); err == nil {
		t.Error("a token key file was created in addition to a KMS key")
	}
	wantKeyWorks(t, second, key, underKMS...)

	s := startServer(t, second, append(underKMS, "--tls-check", "off")...)
	_, token := s.create(t, key, "https://example.com/")
	s.stop(t)

	export, _ = exportOf(t, second, underKMS...)
	importOf(t, third, export, second)
	_, decrypted := exportOf(t, third)
	wantTokens(t, decrypted, append(tokens, token))
}

func TestUnusableKMSKey(t *testing.T) {
	underKMS, p := newKMSKey(t), onDynamoDB(t)
	mustRun(t, newTool(t, p.dir, p.args("tables", "create")...))
	underKMS[1] = "00000000-0000-0000-0000-000000000000"
	mustFail(t, newTool(t, p.dir, p.args(append([]string{"serve", "--addr", "127.0.0.1:0"}, underKMS...)...)...), "cannot use the KMS key…")
}
