package seal

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"webhooks/shared/baseurl"
)

// FromEnvironment makes a Sealer of a Lambda function's settings, which it reads with getenv. Its
// data keys are kept in store, under a KMS key:
//
//	WEBHOOKS_KMS_KEY       the KMS key's id, ARN or alias
//	WEBHOOKS_KMS_ENDPOINT  another KMS than the region's; may be empty
//	WEBHOOKS_TOKEN_KEY     base64 of 32 bytes: the token key itself, in place of KMS, for trying out.
//	                       It is accepted only where local says that the database is a local one
//	AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, which Lambda sets
//
// It makes no request.
func FromEnvironment(getenv func(string) string, store DataKeyStore, local bool) (Sealer, error) {
	keys, err := keysFromEnvironment(getenv, store, local)
	return Sealer{Keys: keys, Random: rand.Reader}, err
}

func keysFromEnvironment(getenv func(string) string, store DataKeyStore, local bool) (Keys, error) {
	text, kmsKey, kmsEndpoint := getenv("WEBHOOKS_TOKEN_KEY"), getenv("WEBHOOKS_KMS_KEY"), getenv("WEBHOOKS_KMS_ENDPOINT")
	switch {
	case text != "" && !local:
		return nil, errors.New("WEBHOOKS_TOKEN_KEY is for trying out alone: it needs a local WEBHOOKS_DYNAMODB_ENDPOINT; set WEBHOOKS_KMS_KEY")
	case text != "":
		return parseTokenKey(text)
	case kmsKey == "":
		return nil, errors.New("WEBHOOKS_KMS_KEY is not set")
	case kmsEndpoint != "" && !baseurl.Valid(kmsEndpoint):
		return nil, errors.New("WEBHOOKS_KMS_ENDPOINT must be a URL of scheme and host, such as http://127.0.0.1:5000, or empty")
	}
	return NewKMSKeys(newKMSClient(getenv), store, kmsKey), nil
}

func parseTokenKey(text string) (KeyRing, error) {
	secret, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(secret) != KeySize {
		return nil, fmt.Errorf("WEBHOOKS_TOKEN_KEY is not the base64 of %d bytes", KeySize)
	}
	key, err := NewKey(secret)
	if err != nil {
		return nil, err
	}
	return KeyRing{key}, nil
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

// Check finds out whether there is a key to seal with, and has it at hand from then on.
func (s Sealer) Check(ctx context.Context) error {
	_, err := s.Keys.Current(ctx)
	return err
}
