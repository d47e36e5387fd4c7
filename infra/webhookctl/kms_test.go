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

// motoVariable names the environment variable with the URL of a moto server, which has a KMS.
const motoVariable = "WEBHOOKS_TEST_MOTO_ENDPOINT"

// newKMSKey makes a KMS key on moto server and gives the flags that lead to it. Without a server the
// test is skipped; in continuous integration (CI is set) it fails.
func newKMSKey(t *testing.T) (flags []string) {
	t.Helper()
	endpoint := os.Getenv(motoVariable)
	switch {
	case endpoint != "":
	case os.Getenv("CI") != "":
		t.Fatalf("%s is not set: in CI this test must run, on moto server", motoVariable)
	default:
		t.Skipf("%s is not set: this test needs a KMS, such as %q gives", motoVariable, "infra/moto/moto run -- COMMAND")
	}
	config := dynamo.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
	made, err := newKMSClient(config, endpoint).CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--kms-key", aws.ToString(made.KeyMetadata.KeyId), "--kms-endpoint", endpoint}
}

// TestMoveToKMSAndBack moves a company to a store whose token keys are under a KMS key, lets that
// serve, and moves it back to a token key file.
func TestMoveToKMSAndBack(t *testing.T) {
	underKMS := newKMSKey(t)
	first, key, tokens := newMoved(t)
	second, third := onDynamoDB(t, dynamotest.Endpoint(t)), place{dir: t.TempDir()}
	mustRun(t, newTool(t, second.dir, second.args("tables", "create")...))
	importOf(t, second, exportOf(t, first), append(underKMS, "--source-token-key-file", first.keyFile())...)
	if _, err := os.Stat(second.keyFile()); err == nil {
		t.Error("a token key file was made beside a KMS key")
	}
	wantKeyWorks(t, second, key, underKMS...)

	s := startServer(t, second, append(underKMS, "--tls-check", "off")...)
	status, _, body := s.request(t, "POST", "/webhooks", key, creation("https://example.com/"))
	if status != 201 {
		t.Fatalf("got %d %s", status, body)
	}
	s.stop(t)
	_, made, _ := strings.Cut(body, `"id":"`)
	_, token, _ := strings.Cut(body, `"token":"`)
	tokens[made[:29]] = strings.TrimSuffix(token, `"}`)

	back := exportOf(t, second, append(underKMS, "--target-token-key-file", first.keyFile())...)
	wantTokens(t, back, first.keyFile(), tokens)
	copyFile(t, first.keyFile(), third.keyFile())
	importOf(t, third, back)
	wantTokens(t, exportOf(t, third), third.keyFile(), tokens)

	// As they are, they are of use to this store alone.
	tool := newTool(t, third.dir, "import", "-")
	tool.Stdin = strings.NewReader(exportOf(t, second))
	if got := runTool(t, tool); got.code != 1 || !strings.Contains(got.stderr, "it was sealed with a key that is not available") {
		t.Errorf("got exit code %d, stderr %q", got.code, got.stderr)
	}
}

func TestUnusableKMSKey(t *testing.T) {
	underKMS := newKMSKey(t)
	p := onDynamoDB(t, dynamotest.Endpoint(t))
	mustRun(t, newTool(t, p.dir, p.args("tables", "create")...))
	underKMS[1] = "00000000-0000-0000-0000-000000000000"
	got := runTool(t, newTool(t, p.dir, p.args(append([]string{"serve", "--addr", "127.0.0.1:0"}, underKMS...)...)...))
	const want = "webhookctl: the KMS key cannot be used, check --kms-key, the region and the permissions kms:GenerateDataKey and kms:Decrypt: "
	if got.code != 1 || !strings.HasPrefix(got.stderr, want) || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("got exit code %d, stderr %q, want one line that begins with %q", got.code, got.stderr, want)
	}
}
