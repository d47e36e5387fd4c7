package seal

import (
	"encoding/base64"
	"fmt"
	"testing"
)

func TestFromEnvironment(t *testing.T) {
	tokenKey := base64.StdEncoding.EncodeToString(make([]byte, KeySize))
	const (
		notLocal    = "WEBHOOKS_TOKEN_KEY is for local development only: it requires a local WEBHOOKS_DYNAMODB_ENDPOINT; set WEBHOOKS_KMS_KEY instead"
		badEndpoint = "WEBHOOKS_KMS_ENDPOINT must be a URL of scheme and host, such as http://127.0.0.1:5000, or empty"
	)
	for _, test := range []struct {
		name, tokenKey, kmsKey, endpoint string
		local                            bool
		want                             string
	}{
		{"KMS", "", "alias/tokens", "", false, "*seal.KMSKeys"},
		{"token key with a local database", tokenKey, "alias/tokens", "", true, "seal.KeyRing"},
		{"token key on AWS", tokenKey, "alias/tokens", "", false, notLocal},
		{"neither", "", "", "", true, "WEBHOOKS_KMS_KEY is not set"},
		{"KMS at another endpoint", "", "a", "http://127.0.0.1:5000", true, "*seal.KMSKeys"},
		{"endpoint without a scheme", "", "a", "localhost:5000", false, badEndpoint},
		{"endpoint without a host", "", "a", "http://:5000", true, badEndpoint},
		{"endpoint with a path", "", "a", "http://localhost/path", true, badEndpoint},
		{"endpoint with credentials", "", "a", "http://user:pw@localhost", true, badEndpoint},
		{"invalid token key", tokenKey[:40], "", "", true, "WEBHOOKS_TOKEN_KEY is not the base64 of 32 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			environment := map[string]string{
				"WEBHOOKS_TOKEN_KEY": test.tokenKey, "WEBHOOKS_KMS_KEY": test.kmsKey, "WEBHOOKS_KMS_ENDPOINT": test.endpoint,
			}
			sealer, err := FromEnvironment(func(name string) string { return environment[name] }, new(fakeKMS), test.local)
			got := fmt.Sprintf("%T", sealer.Keys)
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestKMSClientFromEnvironment(t *testing.T) {
	options := newKMSClient(func(name string) string { return name }).Options()
	c, err := options.Credentials.Retrieve(t.Context())
	got := fmt.Sprint([]string{options.Region, *options.BaseEndpoint, c.AccessKeyID, c.SecretAccessKey, c.SessionToken}, err)
	if want := "[AWS_REGION WEBHOOKS_KMS_ENDPOINT AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN] <nil>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := newKMSClient(func(string) string { return "" }).Options().BaseEndpoint; got != nil {
		t.Errorf("got the endpoint %q, want the region's", *got)
	}
}
