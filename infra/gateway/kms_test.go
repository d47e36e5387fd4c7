package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"webhooks/shared/access"
)

// testKMS makes webhooks whose tokens are sealed under a KMS key, as in a deployment.
func testKMS(t *testing.T, s *stack) {
	endpoint := needed(t, "WEBHOOKS_TEST_MOTO_ENDPOINT")
	client := kms.New(kms.Options{
		Region: "eu-west-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("ASIADUMMY", "dummy", "dummy"),
	})
	made, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{
		"WEBHOOKS_TOKEN_KEY": "", "WEBHOOKS_KMS_KEY": *made.KeyMetadata.Arn, "WEBHOOKS_KMS_ENDPOINT": endpoint,
	}
	key := s.key(t, "kms", nil, access.Permissions()...)
	body := fmt.Sprintf(`{"webhook":{"name":"n","url":%q,"events":"RecurringPayments.charge.paid"}}`, s.receiver)

	t.Run("two processes, one data key", func(t *testing.T) {
		for range 2 {
			output := new(syncBuffer)
			server := s.serve(t, output, settings)
			status, answer := request(t, "POST", server.URL+"/webhooks", key, body)
			var created struct{ Token string }
			if err := json.Unmarshal([]byte(answer), &created); err != nil || status != 201 || !strings.HasPrefix(created.Token, "whsec_") {
				t.Fatalf("got %d %s\nlog %s", status, answer, output.take())
			}
			if log := output.take(); strings.Contains(log, `"level":"ERROR"`) || strings.Contains(log, created.Token) {
				t.Errorf("log %s", log)
			}
		}
		stored, err := s.store.DataKeys(t.Context())
		if err != nil || len(stored) != 1 {
			t.Errorf("%d data keys, error %v", len(stored), err)
		}
	})
	t.Run("a KMS key that is gone", func(t *testing.T) {
		output := new(syncBuffer)
		changed := map[string]string{"WEBHOOKS_TOKEN_KEY": "", "WEBHOOKS_KMS_KEY": "00000000-0000-0000-0000-000000000000", "WEBHOOKS_KMS_ENDPOINT": endpoint}
		f := s.function(t, "create-webhook", output, withoutTLSCheck(changed))
		checkInternalError(t, invoke(t, f, eventWith(t, "create-webhook", key)))
		checkStartLine(t, output.take(), "decrypting a data key with KMS")
	})
}
