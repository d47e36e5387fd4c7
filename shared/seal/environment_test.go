package seal

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestFromEnvironment(t *testing.T) {
	tokenKey := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", KeySize)))
	const (
		notLocal    = "WEBHOOKS_TOKEN_KEY is for local development only: it requires a local WEBHOOKS_DYNAMODB_ENDPOINT; set WEBHOOKS_KMS_KEY instead"
		badEndpoint = "WEBHOOKS_KMS_ENDPOINT must be a URL of scheme and host, such as http://127.0.0.1:5000, or empty"
		badKey      = "WEBHOOKS_TOKEN_KEY is not the base64 of 32 bytes"
	)
	tests := []struct {
		name                       string
		tokenKey, kmsKey, endpoint string
		local, kms                 bool
		err                        string
	}{
		{"KMS", "", "alias/tokens", "", false, true, ""},
		{"token key with a local database", tokenKey, "TokenKey", "", true, false, ""},
		{"token key on AWS", tokenKey, "alias/tokens", "", false, false, notLocal},
		{"neither", "", "", "", true, false, "WEBHOOKS_KMS_KEY is not set"},
		{"KMS at another endpoint", "", "a", "http://127.0.0.1:5000", true, true, ""},
		{"endpoint without a scheme", "", "a", "localhost:5000", false, false, badEndpoint},
		{"endpoint without a host", "", "a", "http://:5000", true, false, badEndpoint},
		{"endpoint with a path", "", "a", "http://localhost/path", true, false, badEndpoint},
		{"endpoint with credentials", "", "a", "http://user:pw@localhost", true, false, badEndpoint},
		{"token key too short", tokenKey[:40], "", "", true, false, badKey},
		{"token key that is not base64", "secret!", "", "", true, false, badKey},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			environment := map[string]string{
				"WEBHOOKS_TOKEN_KEY": test.tokenKey, "WEBHOOKS_KMS_KEY": test.kmsKey, "WEBHOOKS_KMS_ENDPOINT": test.endpoint,
			}
			sealer, err := FromEnvironment(func(name string) string { return environment[name] }, new(dataKeys), test.local)
			if message := errorText(err); message != test.err {
				t.Fatalf("error %q, want %q", message, test.err)
			}
			if _, isKMS := sealer.Keys.(*KMSKeys); isKMS != test.kms {
				t.Errorf("keys %T", sealer.Keys)
			}
			if err == nil && !test.kms && sealer.Check(t.Context()) != nil {
				t.Error("the token key cannot be used")
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestKMSClientFromEnvironment(t *testing.T) {
	options := newKMSClient(func(name string) string { return "value of " + name }).Options()
	got, err := options.Credentials.Retrieve(t.Context())
	if err != nil || got.AccessKeyID != "value of AWS_ACCESS_KEY_ID" || got.SecretAccessKey != "value of AWS_SECRET_ACCESS_KEY" ||
		got.SessionToken != "value of AWS_SESSION_TOKEN" || options.Region != "value of AWS_REGION" ||
		*options.BaseEndpoint != "value of WEBHOOKS_KMS_ENDPOINT" {
		t.Errorf("got %+v, %v, region %q, endpoint %q", got, err, options.Region, *options.BaseEndpoint)
	}
	if got := newKMSClient(func(string) string { return "" }).Options().BaseEndpoint; got != nil {
		t.Errorf("got the endpoint %q, want the region's", *got)
	}
}
