package stack

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// unused is what CloudFormation's types of the template's resources declare that they call, and the
// template does not need, by the reasons.
func unused() map[string][]string {
	return map[string][]string{
		"the table outlives the stack; who deletes it by hand is told to have this": {"dynamodb:DeleteTable"},
		"the table is in one region": {
			"dynamodb:AssociateTableReplica", "dynamodb:BatchWriteItem", "dynamodb:CreateTableReplica", "dynamodb:DeleteItem",
			"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem",
		},
		"the table has no policy, no stream to Kinesis and no insights of its own": {
			"dynamodb:DeleteResourcePolicy", "dynamodb:DisableKinesisStreamingDestination",
			"dynamodb:EnableKinesisStreamingDestination", "dynamodb:PutResourcePolicy", "dynamodb:UpdateContributorInsights",
			"dynamodb:UpdateKinesisStreamingDestination", "kinesis:DescribeStream", "kinesis:PutRecords",
		},
		"the table is made empty": {
			"dynamodb:DescribeImport", "dynamodb:ImportTable", "logs:CreateLogStream", "logs:DescribeLogStreams",
			"logs:PutLogEvents", "s3:GetObjectMetadata",
		},
		"table and functions are under AWS's own keys, which let these services in by themselves": {
			"kms:CreateGrant", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:RevokeGrant",
		},
		"the key is enabled and rotated, always": {"kms:DisableKey", "kms:DisableKeyRotation", "kms:EnableKey"},
		"the roles have no managed policies, no boundary and no description": {
			"iam:AttachRolePolicy", "iam:DeleteRolePermissionsBoundary", "iam:DetachRolePolicy",
			"iam:PutRolePermissionsBoundary", "iam:UpdateRoleDescription",
		},
		"the functions are in no VPC and have no file system": {
			"ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
			"elasticfilesystem:DescribeMountTargets", "s3files:ListMountTargets",
		},
		"the functions have no reserved concurrency, layers, signed code, versions, or settings of runtime, recursion and scaling": {
			"lambda:AssociateRuntimeAlias", "lambda:DeleteFunctionCodeSigningConfig", "lambda:DeleteFunctionConcurrency",
			"lambda:GetCodeSigningConfig", "lambda:GetLayerVersion", "lambda:PassCapacityProvider", "lambda:PublishVersion",
			"lambda:PutFunctionCodeSigningConfig", "lambda:PutFunctionConcurrency", "lambda:PutFunctionRecursionConfig",
			"lambda:PutFunctionScalingConfig", "lambda:PutRuntimeManagementConfig",
		},
		"the log groups have names, retention and tags, and nothing else": {
			"firehose:TagDeliveryStream", "logs:AssociateKmsKey", "logs:DeleteDataProtectionPolicy", "logs:DeleteIndexPolicy",
			"logs:DeleteResourcePolicy", "logs:DisassociateKmsKey", "logs:PutBearerTokenAuthentication",
			"logs:PutDataProtectionPolicy", "logs:PutIndexPolicy", "logs:PutLogGroupDeletionProtection", "s3:REST.PUT.OBJECT",
		},
		"the API's description is in the template, not in a bucket": {"s3:getObject"},
	}
}

// besides is what the guide's policy allows that no type of resource declares, by who needs it.
func besides() map[string][]string {
	return map[string][]string{
		"sam, for stacks": {
			"cloudformation:CancelUpdateStack", "cloudformation:CreateChangeSet", "cloudformation:DeleteChangeSet",
			"cloudformation:DeleteStack", "cloudformation:DescribeChangeSet", "cloudformation:DescribeStackEvents",
			"cloudformation:DescribeStackResources", "cloudformation:DescribeStacks", "cloudformation:ExecuteChangeSet",
			"cloudformation:GetTemplate", "cloudformation:GetTemplateSummary", "cloudformation:ListStackResources",
		},
		"sam, for its bucket, which a stack makes": {
			"s3:CreateBucket", "s3:DeleteObject", "s3:GetBucketLocation", "s3:GetBucketPolicy", "s3:PutBucketPolicy",
			"s3:PutBucketPublicAccessBlock", "s3:PutBucketTagging", "s3:PutBucketVersioning", "s3:PutEncryptionConfiguration",
			"s3:PutLifecycleConfiguration", "s3:PutObject",
		},
		"Lambda, to tell the tags and the state of a function": {"lambda:GetFunctionConfiguration", "lambda:ListTags"},
		"API Gateway, to make the access log": {
			"logs:DeleteLogDelivery", "logs:GetLogDelivery", "logs:ListLogDeliveries", "logs:UpdateLogDelivery",
		},
	}
}

// Whoever deploys may do what CloudFormation's types of the template's resources declare, but for what
// this template does not use, and nothing else; and what the policy names is there in AWS.
func TestGuidePolicyOfDeployment(t *testing.T) {
	kinds := make(map[string]bool)
	for _, r := range translated(t, nil).Resources {
		kinds[r.Type] = true
	}
	var declared map[string][]string
	if err := json.Unmarshal([]byte(askAWS(t, "needs", sorted(kinds))), &declared); err != nil {
		t.Fatal(err)
	}
	needed := make(map[string]string) // by whom
	for action, by := range declared {
		needed[action] = strings.Join(by, ", ")
	}
	for reason, actions := range unused() {
		for _, action := range actions {
			if needed[action] == "" {
				t.Errorf("unused has %s twice, or nothing declares it", action)
			}
			delete(needed, action)
			if strings.Contains(reason, "by hand") && !strings.Contains(deployGuide(t), "`"+action+"`") {
				t.Errorf("the guide does not say that %s is missing in the policy", action)
			}
		}
	}
	for by, actions := range besides() {
		for _, action := range actions {
			if needed[action] != "" {
				t.Errorf("besides has %s, which %s declares", action, needed[action])
			}
			needed[action] = by
		}
	}
	deployer, operator := guidePolicies(t)
	allowed := actionsOf(deployer)
	for action, by := range needed {
		if !slices.Contains(allowed, action) {
			t.Errorf("the guide's policy lacks %s: %s", action, by)
		}
	}
	for _, action := range allowed {
		if needed[action] == "" {
			t.Errorf("the guide's policy has %s, which nobody needs", action)
		}
	}
	if problems := askAWS(t, "actions", append(allowed, actionsOf(operator)...)); problems != "" {
		t.Error(problems)
	}
}
