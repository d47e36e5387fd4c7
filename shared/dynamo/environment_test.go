package dynamo

import (
	"maps"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

func TestFromEnvironment(t *testing.T) {
	complete := map[string]string{
		"WEBHOOKS_SUBSCRIPTIONS_TABLE": "webhooks-Subscriptions",
		"AWS_REGION":                   "eu-west-1",
		"AWS_ACCESS_KEY_ID":            "ASIAEXAMPLE",
		"AWS_SECRET_ACCESS_KEY":        "secret",
		"AWS_SESSION_TOKEN":            "token",
	}
	for _, optional := range []map[string]string{{}, {"WEBHOOKS_DYNAMODB_ENDPOINT": "http://127.0.0.1:8000"}, {"AWS_SESSION_TOKEN": ""}} {
		environment := maps.Clone(complete)
		maps.Copy(environment, optional)
		store, err := FromEnvironment(func(name string) string { return environment[name] })
		if err != nil {
			t.Fatalf("with %v: %v", optional, err)
		}
		options := store.client.Options()
		credentials, err := options.Credentials.Retrieve(t.Context())
		if err != nil || credentials.AccessKeyID != "ASIAEXAMPLE" || credentials.SecretAccessKey != "secret" ||
			credentials.SessionToken != environment["AWS_SESSION_TOKEN"] || store.name != "webhooks-Subscriptions" ||
			options.Region != "eu-west-1" || aws.ToString(options.BaseEndpoint) != environment["WEBHOOKS_DYNAMODB_ENDPOINT"] {
			t.Errorf("with %v: table %q, options %+v, credentials %+v, error %v", optional, store.name, options, credentials, err)
		}
	}

	const missing = "WEBHOOKS_SUBSCRIPTIONS_TABLE is not set\nAWS_REGION is not set\n" +
		"AWS_ACCESS_KEY_ID is not set\nAWS_SECRET_ACCESS_KEY is not set\n"
	for _, endpoint := range []string{"127.0.0.1:8000", "http://", "dynamodb://localhost", "http://user:pw@localhost", "http://localhost/path"} {
		_, err := FromEnvironment(func(name string) string { return map[string]string{"WEBHOOKS_DYNAMODB_ENDPOINT": endpoint}[name] })
		const invalid = "WEBHOOKS_DYNAMODB_ENDPOINT must be a URL with only scheme and host, for example http://127.0.0.1:8000, or empty"
		if err == nil || err.Error() != missing+invalid {
			t.Errorf("with only the endpoint %s: got error %v, want %s", endpoint, err, missing+invalid)
		}
	}
}
