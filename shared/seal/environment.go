package seal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// FromEnvironment returns a Sealer for a Lambda function, from settings that it reads with getenv. The
// data keys are in store, encrypted with a KMS key:
//
//	WEBHOOKS_KMS_KEY       the KMS key's ID, ARN or alias
//	WEBHOOKS_KMS_ENDPOINT  the KMS endpoint to use instead of the region's; optional
//	WEBHOOKS_TOKEN_KEY     base64 of 32 bytes: a token key instead of KMS; only with a local database
//	AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, which Lambda sets
//
// local reports whether the database is local. FromEnvironment sends no request.
func FromEnvironment(getenv func(string) string, store DataKeyStore, local bool) (Sealer, error) {
	tokenKey, kmsKey, kmsEndpoint := getenv("WEBHOOKS_TOKEN_KEY"), getenv("WEBHOOKS_KMS_KEY"), getenv("WEBHOOKS_KMS_ENDPOINT")
	switch {
	case tokenKey != "" && !local:
		return Sealer{}, errors.New("WEBHOOKS_TOKEN_KEY is for local development only: it requires a local WEBHOOKS_DYNAMODB_ENDPOINT; set WEBHOOKS_KMS_KEY instead")
	case tokenKey != "":
		key, err := parseKey(tokenKey)
		if err != nil {
			return Sealer{}, fmt.Errorf("WEBHOOKS_TOKEN_KEY is %w", err)
		}
		return Sealer{Keys: KeyRing{key}, Random: rand.Reader}, nil
	case kmsKey == "":
		return Sealer{}, errors.New("WEBHOOKS_KMS_KEY is not set")
	case kmsEndpoint != "" && !isBaseURL(kmsEndpoint):
		return Sealer{}, errors.New("WEBHOOKS_KMS_ENDPOINT must be a URL of scheme and host, such as http://127.0.0.1:5000, or empty")
	}
	return Sealer{Keys: NewKMSKeys(newKMSClient(getenv), store, kmsKey), Random: rand.Reader}, nil
}

// isBaseURL reports whether text is an http or https URL with only a host and, optionally, a port.
func isBaseURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.User == nil && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == ""
}

func newKMSClient(getenv func(string) string) *kms.Client {
	options := kms.Options{
		Region: getenv("AWS_REGION"),
		Credentials: credentials.NewStaticCredentialsProvider(
			getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"), getenv("AWS_SESSION_TOKEN")),
	}
	if endpoint := getenv("WEBHOOKS_KMS_ENDPOINT"); endpoint != "" {
		options.BaseEndpoint = &endpoint
	}
	return kms.New(options)
}

// CheckOpen returns an error if the key that probably opens the next token cannot be loaded. Unlike [Sealer.Check], it never creates
// a key: a function that only opens tokens may not, and if there is no key yet, there is no token to open.
func (s Sealer) CheckOpen(ctx context.Context) error {
	if keys, ok := s.Keys.(*KMSKeys); ok {
		return keys.preload(ctx)
	}
	return s.Check(ctx)
}

// Check returns an error if there is no key to seal with. It loads that key for later use, and creates the first one.
func (s Sealer) Check(ctx context.Context) error {
	_, err := s.Keys.Current(ctx)
	return err
}
