package seal

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
)

func TestFromEnvironment(t *testing.T) {
	tokenKey := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", KeySize)))
	const notLocal = "WEBHOOKS_TOKEN_KEY is for trying out alone: it needs a local WEBHOOKS_DYNAMODB_ENDPOINT; set WEBHOOKS_KMS_KEY"
	const badEndpoint = "WEBHOOKS_KMS_ENDPOINT must be a URL of scheme and host, such as http://127.0.0.1:5000, or empty"
	const noKey = "WEBHOOKS_TOKEN_KEY is not the base64 of 32 bytes"
	tests := []struct {
		name        string
		environment map[string]string
		local       bool
		kms         bool
		err         string
	}{
		{"KMS", map[string]string{"WEBHOOKS_KMS_KEY": "alias/tokens"}, false, true, ""},
		{"KMS beside a local database", map[string]string{"WEBHOOKS_KMS_KEY": "alias/tokens"}, true, true, ""},
		{"token key beside a local database", map[string]string{"WEBHOOKS_TOKEN_KEY": tokenKey, "WEBHOOKS_KMS_KEY": "TokenKey"}, true, false, ""},
		{"token key beside AWS", map[string]string{"WEBHOOKS_TOKEN_KEY": tokenKey, "WEBHOOKS_KMS_KEY": "alias/tokens"}, false, false, notLocal},
		{"neither", nil, true, false, "WEBHOOKS_KMS_KEY is not set"},
		{"KMS at another endpoint", map[string]string{"WEBHOOKS_KMS_KEY": "a", "WEBHOOKS_KMS_ENDPOINT": "http://127.0.0.1:5000"}, true, true, ""},
		{"KMS at no URL", map[string]string{"WEBHOOKS_KMS_KEY": "a", "WEBHOOKS_KMS_ENDPOINT": "nonsense"}, true, false, badEndpoint},
		{"KMS at no URL beside AWS", map[string]string{"WEBHOOKS_KMS_KEY": "a", "WEBHOOKS_KMS_ENDPOINT": "localhost:5000"}, false, false, badEndpoint},
		{"token key too short", map[string]string{"WEBHOOKS_TOKEN_KEY": tokenKey[:40]}, true, false, noKey},
		{"token key that is no base64", map[string]string{"WEBHOOKS_TOKEN_KEY": "secret!"}, true, false, noKey},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			getenv := func(name string) string { return test.environment[name] }
			sealer, err := FromEnvironment(getenv, &dataKeys{}, test.local)
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, isKMS := sealer.Keys.(*KMSKeys); isKMS != test.kms {
				t.Fatalf("keys %T", sealer.Keys)
			}
			if test.kms {
				return
			}
			if err := sealer.Check(context.Background()); err != nil {
				t.Fatal(err)
			}
			sealed, err := sealer.Seal(context.Background(), "acme", "wh_1", "whsec_x")
			if err != nil {
				t.Fatal(err)
			}
			if opened, err := sealer.Open(context.Background(), "acme", "wh_1", sealed); err != nil || opened != "whsec_x" {
				t.Errorf("opened %q, error %v", opened, err)
			}
		})
	}
}

func TestKMSClientFromEnvironment(t *testing.T) {
	environment := map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
	}
	getenv := func(name string) string { return environment[name] }
	options := newKMSClient(getenv).Options()
	credentials, err := options.Credentials.Retrieve(context.Background())
	if err != nil || credentials.AccessKeyID != "ASIAEXAMPLE" || credentials.SecretAccessKey != "secret" || credentials.SessionToken != "token" {
		t.Errorf("credentials %+v, error %v", credentials, err)
	}
	if options.Region != "eu-west-1" || options.BaseEndpoint != nil {
		t.Errorf("region %q, endpoint %v", options.Region, options.BaseEndpoint)
	}
	environment["WEBHOOKS_KMS_ENDPOINT"] = "http://127.0.0.1:5000"
	if endpoint := newKMSClient(getenv).Options().BaseEndpoint; endpoint == nil || *endpoint != "http://127.0.0.1:5000" {
		t.Errorf("endpoint %v", endpoint)
	}
}

// A key that cannot be had is found out before it is needed.
func TestCheckFindsOut(t *testing.T) {
	if err := (Sealer{Keys: KeyRing{}}).Check(context.Background()); err == nil || err.Error() != "there is no token key" {
		t.Errorf("error %v", err)
	}
}
