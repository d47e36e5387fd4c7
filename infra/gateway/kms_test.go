package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"webhooks/shared/access"
)

// kmsSettings makes a KMS key, and gives the settings that seal tokens under it, as in a deployment.
func kmsSettings(t *testing.T) map[string]string {
	t.Helper()
	endpoint := needed(t, "WEBHOOKS_TEST_MOTO_ENDPOINT")
	client := kms.New(kms.Options{Region: "eu-west-1", BaseEndpoint: &endpoint, Credentials: dummyCredentials()})
	made, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"WEBHOOKS_TOKEN_KEY": "", "WEBHOOKS_KMS_KEY": *made.KeyMetadata.Arn, "WEBHOOKS_KMS_ENDPOINT": endpoint,
	}
}

// testKMS makes webhooks whose tokens are sealed under a KMS key.
func testKMS(t *testing.T, s *stack) {
	s, settings := s.empty(t), kmsSettings(t)
	key := s.key(t, "kms", nil, access.Permissions()...)
	body := fmt.Sprintf(`{"webhook":{"name":"n","url":%q,"events":"RecurringPayments.charge.paid"}}`, s.receiver)

	t.Run("two processes, one data key", func(t *testing.T) {
		for range 2 {
			server := s.serve(t, settings)
			status, answer := request(t, "POST", server.URL+"/webhooks", key, body)
			log := server.log()
			var created struct{ Token string }
			if err := json.Unmarshal([]byte(answer), &created); err != nil || status != 201 || !strings.HasPrefix(created.Token, "whsec_") {
				t.Fatalf("got %d %s\nlog %s", status, answer, log)
			}
			if strings.Contains(log, `"level":"ERROR"`) || strings.Contains(log, created.Token) {
				t.Errorf("log %s", log)
			}
			if got := len(linesOf(t, log, "request")); got != 1 {
				t.Errorf("%d requests are in the log, want 1:\n%s", got, log)
			}
		}
		stored, err := s.store.DataKeys(t.Context())
		if err != nil || len(stored) != 1 {
			t.Errorf("%d data keys, error %v", len(stored), err)
		}
	})
	t.Run("a KMS key that is gone", func(t *testing.T) {
		gone := withoutTLSCheck(settings)
		gone["WEBHOOKS_KMS_KEY"] = "00000000-0000-0000-0000-000000000000"
		f := s.function(t, "create-webhook", gone)
		id := checkInternalError(t, invoke(t, f, eventWith(t, "create-webhook", key)))
		log := f.log()
		checkStartLine(t, log, "decrypting a data key with KMS: ")
		checkFailures(t, log, "decrypting a data key with KMS: ", id)
	})
}
