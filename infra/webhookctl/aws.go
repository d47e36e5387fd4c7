package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"webhooks/shared/dynamo"
	"webhooks/shared/endpoint"
)

// localRegion is the default region of a local endpoint, such as DynamoDB Local's, which needs none.
const localRegion = "us-east-1"

// awsConfig finds the region and credentials as every AWS tool does. With a local endpoint, it makes up
// credentials if the environment has none, and never asks the metadata service of EC2.
func (f *storageFlags) awsConfig(ctx context.Context) (dynamo.Config, error) {
	var options []func(*awsconfig.LoadOptions) error
	local := endpoint.LocalOverride(f.DynamoDBEndpoint)
	if local {
		options = append(options, awsconfig.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	}
	switch {
	case local && !credentialsInEnvironment():
		return dynamo.Config{
			Endpoint:    f.DynamoDBEndpoint,
			Region:      cmp.Or(f.Region, localRegion),
			Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
		}, nil
	case f.Region != "":
		options = append(options, awsconfig.WithRegion(f.Region))
	case local:
		options = append(options, awsconfig.WithDefaultRegion(localRegion))
	}
	loaded, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return dynamo.Config{}, fmt.Errorf("AWS settings: %w", err)
	}
	if loaded.Region == "" {
		return dynamo.Config{}, errors.New("no AWS region is set: pass --region or set AWS_REGION")
	}
	// The first call would fail as well, but less clearly.
	_, err = loaded.Credentials.Retrieve(ctx)
	switch {
	case err != nil && local:
		return dynamo.Config{}, fmt.Errorf("the AWS credentials in the environment cannot be used: correct them, or unset AWS_PROFILE and AWS_ACCESS_KEY_ID because a local endpoint needs none: %w", err)
	case err != nil:
		return dynamo.Config{}, fmt.Errorf("no AWS credentials found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or attach a role to the machine: %w", err)
	}
	return dynamo.Config{Endpoint: f.DynamoDBEndpoint, Region: loaded.Region, Credentials: loaded.Credentials}, nil
}

func credentialsInEnvironment() bool {
	return slices.ContainsFunc([]string{
		"AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
	}, func(name string) bool { return os.Getenv(name) != "" })
}

// newKMSClient returns a client for the region's KMS, or for another endpoint, with the credentials of
// the database.
func newKMSClient(config dynamo.Config, endpoint string) *kms.Client {
	options := kms.Options{Region: config.Region, Credentials: config.Credentials}
	if endpoint != "" {
		options.BaseEndpoint = &endpoint
	}
	return kms.New(options)
}
