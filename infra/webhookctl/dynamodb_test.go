package main

import (
	"os"
	"strings"
	"testing"
)

func TestAWSConfig(t *testing.T) {
	const local = "http://127.0.0.1:8000"
	environment := map[string]string{"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
	tests := []struct {
		name     string
		endpoint string
		region   string
		env      map[string]string
		want     string // endpoint, region, access key
	}{
		{"another endpoint", local, "", nil, local + " us-east-1 local"},
		{"another endpoint and a region", local, "eu-north-1", nil, local + " eu-north-1 local"},
		{"another endpoint and a region in the environment", local, "", map[string]string{"AWS_REGION": "eu-west-1"}, local + " us-east-1 local"},
		{"another endpoint and credentials", local, "", environment, local + " eu-west-1 mine"},
		{"another endpoint and credentials without a region", local, "",
			map[string]string{"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "secret"}, local + " us-east-1 mine"},
		{"AWS", "", "", environment, " eu-west-1 mine"},
		{"AWS and a region", "", "eu-north-1", environment, " eu-north-1 mine"},
		{"AWS's own variable for endpoints", "", "",
			map[string]string{"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": local},
			" eu-west-1 mine"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setAWS(t, tt.env)
			got, err := (&storageFlags{DynamoDBEndpoint: tt.endpoint, Region: tt.region}).awsConfig(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			credentials, err := got.Credentials.Retrieve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := got.Endpoint + " " + got.Region + " " + credentials.AccessKeyID; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// setAWS gives the AWS SDK these settings and no others.
func setAWS(t *testing.T, settings map[string]string) {
	t.Helper()
	for _, setting := range os.Environ() {
		if name, _, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	for name, value := range settings {
		t.Setenv(name, value)
	}
}
