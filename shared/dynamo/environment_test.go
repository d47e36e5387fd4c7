package dynamo

import (
	"context"
	"maps"
	"testing"
)

func TestFromEnvironment(t *testing.T) {
	complete := map[string]string{
		"WEBHOOKS_SUBSCRIPTIONS_TABLE": "webhooks-Subscriptions",
		"AWS_REGION":                   "eu-west-1",
		"AWS_ACCESS_KEY_ID":            "ASIAEXAMPLE",
		"AWS_SECRET_ACCESS_KEY":        "secret",
		"AWS_SESSION_TOKEN":            "token",
	}
	const badEndpoint = "WEBHOOKS_DYNAMODB_ENDPOINT must be a URL with only scheme and host, for example http://127.0.0.1:8000, or empty"
	tests := []struct {
		name   string
		change map[string]string
		err    string
	}{
		{"complete", nil, ""},
		{"local", map[string]string{"WEBHOOKS_DYNAMODB_ENDPOINT": "http://127.0.0.1:8000"}, ""},
		{"without session token", map[string]string{"AWS_SESSION_TOKEN": ""}, ""},
		{"no table", map[string]string{"WEBHOOKS_SUBSCRIPTIONS_TABLE": ""}, "WEBHOOKS_SUBSCRIPTIONS_TABLE is not set"},
		{"no region", map[string]string{"AWS_REGION": ""}, "AWS_REGION is not set"},
		{"no credentials", map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
			"AWS_ACCESS_KEY_ID is not set\nAWS_SECRET_ACCESS_KEY is not set"},
		{"endpoint without scheme", map[string]string{"WEBHOOKS_DYNAMODB_ENDPOINT": "127.0.0.1:8000"}, badEndpoint},
		{"endpoint without host", map[string]string{"WEBHOOKS_DYNAMODB_ENDPOINT": "http://"}, badEndpoint},
		{"endpoint with another scheme", map[string]string{"WEBHOOKS_DYNAMODB_ENDPOINT": "dynamodb://localhost"}, badEndpoint},
		{"endpoint with credentials", map[string]string{"WEBHOOKS_DYNAMODB_ENDPOINT": "http://user:pw@localhost"}, badEndpoint},
		{"endpoint with a path", map[string]string{"WEBHOOKS_DYNAMODB_ENDPOINT": "http://localhost/path"}, badEndpoint},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			environment := maps.Clone(complete)
			maps.Copy(environment, test.change)
			store, err := FromEnvironment(func(name string) string { return environment[name] })
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			options := store.client.Options()
			credentials, err := options.Credentials.Retrieve(context.Background())
			if err != nil || credentials.AccessKeyID != "ASIAEXAMPLE" || credentials.SessionToken != environment["AWS_SESSION_TOKEN"] {
				t.Errorf("credentials %+v, error %v", credentials, err)
			}
			endpoint := ""
			if options.BaseEndpoint != nil {
				endpoint = *options.BaseEndpoint
			}
			if store.table != "webhooks-Subscriptions" || options.Region != "eu-west-1" || endpoint != environment["WEBHOOKS_DYNAMODB_ENDPOINT"] {
				t.Errorf("table %q, region %q, endpoint %q", store.table, options.Region, endpoint)
			}
		})
	}
}
