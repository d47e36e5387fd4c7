package dynamo

import (
	"maps"
	"testing"
	"time"

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

func TestDeliveriesFromEnvironment(t *testing.T) {
	environment := map[string]string{
		"WEBHOOKS_SUBSCRIPTIONS_TABLE": "webhooks-Subscriptions", "WEBHOOKS_DELIVERIES_TABLE": "webhooks-Deliveries",
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
	}
	for days, want := range map[string]time.Duration{"": DefaultRetention, "4": 96 * time.Hour, "3650": 87600 * time.Hour} {
		environment["WEBHOOKS_RETENTION_DAYS"] = days
		d, err := DeliveriesFromEnvironment(func(name string) string { return environment[name] })
		if err != nil || d.Retention != want || d.name != "webhooks-Deliveries" || d.subscriptions.name != "webhooks-Subscriptions" {
			t.Errorf("with %q days: got %+v, %v, want a retention of %v", days, d, err, want)
		}
	}
	delete(environment, "WEBHOOKS_DELIVERIES_TABLE")
	for _, days := range []string{"3", "3651", "-30", "30d"} {
		environment["WEBHOOKS_RETENTION_DAYS"] = days
		_, err := DeliveriesFromEnvironment(func(name string) string { return environment[name] })
		const want = "WEBHOOKS_DELIVERIES_TABLE is not set\nWEBHOOKS_RETENTION_DAYS must be a number from 4 to 3650, or empty"
		if err == nil || err.Error() != want {
			t.Errorf("with %q days: got error %v, want %s", days, err, want)
		}
	}
}
