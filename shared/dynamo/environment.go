package dynamo

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
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
	e := environment{getenv: getenv}
	table, client := e.required("WEBHOOKS_SUBSCRIPTIONS_TABLE"), e.client()
	if len(e.wrong) > 0 {
		return nil, errors.Join(e.wrong...)
	}
	return New(client, table), nil
}

// DeliveriesFromEnvironment returns the store of deliveries with the settings of a Lambda function: those of [FromEnvironment] and
//
//	WEBHOOKS_DELIVERIES_TABLE  the table's name
//	WEBHOOKS_RETENTION_DAYS    how long events are kept, 4 to 3650 days; 30 if it is empty
//
// The error lists everything that is missing or invalid.
func DeliveriesFromEnvironment(getenv func(string) string) (*Deliveries, error) {
	e := environment{getenv: getenv}
	subscriptions, deliveries := e.required("WEBHOOKS_SUBSCRIPTIONS_TABLE"), e.required("WEBHOOKS_DELIVERIES_TABLE")
	d := NewDeliveries(e.client(), subscriptions, deliveries)
	if days := getenv("WEBHOOKS_RETENTION_DAYS"); days != "" {
		n, err := strconv.Atoi(days)
		if err != nil || n < minRetentionDays || n > maxRetentionDays {
			e.wrong = append(e.wrong, fmt.Errorf("WEBHOOKS_RETENTION_DAYS must be a number from %d to %d, or empty", minRetentionDays, maxRetentionDays))
		}
		d.Retention = time.Duration(n) * 24 * time.Hour
	}
	if len(e.wrong) > 0 {
		return nil, errors.Join(e.wrong...)
	}
	return d, nil
}

// The limits of WEBHOOKS_RETENTION_DAYS. Deliveries are attempted for up to [webhook.MaxAge], which is 84 hours.
const (
	minRetentionDays = 4
	maxRetentionDays = 3650
)

// environment reads settings and collects what is wrong with them.
type environment struct {
	getenv func(string) string
	wrong  []error
}

func (e *environment) required(name string) string {
	value := e.getenv(name)
	if value == "" {
		e.wrong = append(e.wrong, fmt.Errorf("%s is not set", name))
	}
	return value
}

func (e *environment) client() *dynamodb.Client {
	cfg := Config{
		Endpoint: e.getenv("WEBHOOKS_DYNAMODB_ENDPOINT"),
		Region:   e.required("AWS_REGION"),
		Credentials: credentials.NewStaticCredentialsProvider(
			e.required("AWS_ACCESS_KEY_ID"), e.required("AWS_SECRET_ACCESS_KEY"), e.getenv("AWS_SESSION_TOKEN")),
	}
	if cfg.Endpoint != "" && !isBaseURL(cfg.Endpoint) {
		e.wrong = append(e.wrong, errors.New("WEBHOOKS_DYNAMODB_ENDPOINT must be a URL with only scheme and host, for example http://127.0.0.1:8000, or empty"))
	}
	return NewClient(cfg)
}

// isBaseURL reports whether text is an http or https URL with only scheme and host.
func isBaseURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.User == nil && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == ""
}
