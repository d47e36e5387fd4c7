package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"webhooks/shared/baseurl"
	"webhooks/shared/dynamo"
)

// awsConfig finds region and credentials the way every AWS tool does. At another endpoint, which
// is a local one as a rule, any will do: without credentials in the environment it uses made-up
// ones.
func (f *storageFlags) awsConfig(ctx context.Context) (dynamo.Config, error) {
	if f.DynamoDBEndpoint != "" && !credentialsInEnvironment() {
		region := f.Region
		if region == "" {
			region = "us-east-1"
		}
		return dynamo.Config{
			Endpoint:    f.DynamoDBEndpoint,
			Region:      region,
			Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
		}, nil
	}
	return f.loadAWSConfig(ctx)
}

func (f *storageFlags) loadAWSConfig(ctx context.Context) (dynamo.Config, error) {
	var options []func(*awsconfig.LoadOptions) error
	switch {
	case f.Region != "":
		options = append(options, awsconfig.WithRegion(f.Region))
	case f.DynamoDBEndpoint != "":
		options = append(options, awsconfig.WithDefaultRegion("us-east-1"))
	}
	loaded, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return dynamo.Config{}, fmt.Errorf("AWS settings: %w", err)
	}
	if loaded.Region == "" {
		return dynamo.Config{}, errors.New("no AWS region is set: give --region or set AWS_REGION")
	}
	if err := checkCredentials(ctx, loaded.Credentials); err != nil {
		return dynamo.Config{}, err
	}
	return dynamo.Config{Endpoint: f.DynamoDBEndpoint, Region: loaded.Region, Credentials: loaded.Credentials}, nil
}

// checkCredentials asks for them now, since the first call would fail less clearly.
func checkCredentials(ctx context.Context, provider aws.CredentialsProvider) error {
	if _, err := provider.Retrieve(ctx); err != nil {
		return fmt.Errorf("no AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role: %w", err)
	}
	return nil
}

// newKMSClient makes a client of the region's KMS, or of another endpoint, with the credentials of
// the database.
func newKMSClient(config dynamo.Config, endpoint string) *kms.Client {
	options := kms.Options{Region: config.Region, Credentials: config.Credentials}
	if endpoint != "" {
		options.BaseEndpoint = &endpoint
	}
	return kms.New(options)
}

func credentialsInEnvironment() bool {
	return slices.ContainsFunc([]string{
		"AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
	}, func(name string) bool { return os.Getenv(name) != "" })
}

// validateEndpoint refuses what is no base URL of a service.
func validateEndpoint(flag, endpoint string) error {
	if !baseurl.Valid(endpoint) {
		return fmt.Errorf("%s must be a URL of scheme and host, such as http://127.0.0.1:8000", flag)
	}
	return nil
}

// isLoopbackAddr reports whether host:port can be reached from this machine alone.
func isLoopbackAddr(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
