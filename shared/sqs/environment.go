package sqs

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/credentials"
)

// FromEnvironment returns the queues of a Lambda function, from settings that it reads with getenv:
//
//	WEBHOOKS_DELIVERIES_QUEUE, WEBHOOKS_SLOW_QUEUE, WEBHOOKS_FAN_OUT_QUEUE  URLs of the queues to which the function sends
//	WEBHOOKS_DEAD_QUEUE    URL of the dead-letter queue of the queue whose messages the function handles
//	WEBHOOKS_SQS_ENDPOINT  endpoint to use instead of the region's; may be empty
//	AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, which Lambda sets
//
// Any of the queues may be empty: sending to it is an error. The error lists everything else that is missing or invalid.
func FromEnvironment(getenv func(string) string) (*Queues, error) {
	var wrong []error
	required := func(name string) string {
		value := getenv(name)
		if value == "" {
			wrong = append(wrong, fmt.Errorf("%s is not set", name))
		}
		return value
	}
	cfg := Config{
		Endpoint: getenv("WEBHOOKS_SQS_ENDPOINT"),
		Region:   required("AWS_REGION"),
		Credentials: credentials.NewStaticCredentialsProvider(
			required("AWS_ACCESS_KEY_ID"), required("AWS_SECRET_ACCESS_KEY"), getenv("AWS_SESSION_TOKEN")),
	}
	if cfg.Endpoint != "" && !isBaseURL(cfg.Endpoint) {
		wrong = append(wrong, errors.New("WEBHOOKS_SQS_ENDPOINT must be a URL with only scheme and host, for example http://127.0.0.1:5000, or empty"))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	urls := URLs{
		Deliveries: getenv("WEBHOOKS_DELIVERIES_QUEUE"), Slow: getenv("WEBHOOKS_SLOW_QUEUE"), FanOut: getenv("WEBHOOKS_FAN_OUT_QUEUE"),
	}
	return New(NewClient(cfg), urls, getenv("WEBHOOKS_DEAD_QUEUE")), nil
}

// isBaseURL reports whether text is an http or https URL with only scheme and host.
func isBaseURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.User == nil && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == ""
}
