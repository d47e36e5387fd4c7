package dynamo

import (
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"webhooks/shared/baseurl"
)

// FromEnvironment makes a store of a Lambda function's settings, which it reads with getenv:
//
//	WEBHOOKS_SUBSCRIPTIONS_TABLE  the table's name
//	WEBHOOKS_DYNAMODB_ENDPOINT    another DynamoDB than the region's, as for DynamoDB Local; may be empty
//	AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
//
// The last ones Lambda sets, and they stay the same for as long as the process lives: it is not
// given more time than its credentials have. That the SDK looks for settings in all the other places
// it knows of would only make every cold start longer. The error names all that is missing or wrong.
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
	if cfg.Endpoint != "" && !baseurl.Valid(cfg.Endpoint) {
		wrong = append(wrong, errors.New("WEBHOOKS_DYNAMODB_ENDPOINT must be a URL of scheme and host, such as http://127.0.0.1:8000, or empty"))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return New(NewClient(cfg), table), nil
}
