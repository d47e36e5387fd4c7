package dynamo

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/credentials"
)

// FromEnvironment returns a store with the settings of a Lambda function, which it reads with getenv:
//
//	WEBHOOKS_SUBSCRIPTIONS_TABLE  the table's name
//	WEBHOOKS_DYNAMODB_ENDPOINT    endpoint to use instead of the region's, for example DynamoDB Local's; may be empty
//	AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
//
// Lambda sets the last four, and they remain valid for the life of the process. Having the SDK look for settings in all
// other places would only slow down cold starts. The error lists everything that is missing or invalid.
func FromEnvironment(getenv func(string) string) (*Store, error) {
	var wrong []error
	required := func(name string) string {
		value := getenv(name)
		if value == "" {
			wrong = append(wrong, fmt.Errorf("%s is not set", name))
		}
		return value
	}
	table := required("WEBHOOKS_SUBSCRIPTIONS_TABLE")
	cfg := Config{
		Endpoint: getenv("WEBHOOKS_DYNAMODB_ENDPOINT"),
		Region:   required("AWS_REGION"),
		Credentials: credentials.NewStaticCredentialsProvider(
			required("AWS_ACCESS_KEY_ID"), required("AWS_SECRET_ACCESS_KEY"), getenv("AWS_SESSION_TOKEN")),
	}
	if cfg.Endpoint != "" && !isBaseURL(cfg.Endpoint) {
		wrong = append(wrong, errors.New("WEBHOOKS_DYNAMODB_ENDPOINT must be a URL with only scheme and host, for example http://127.0.0.1:8000, or empty"))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return New(NewClient(cfg), table), nil
}

// isBaseURL reports whether text is an http or https URL with only scheme and host.
func isBaseURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.User == nil && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == ""
}
