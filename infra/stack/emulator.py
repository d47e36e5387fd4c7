"""What it takes to deploy the stack into moto server, an emulator of AWS. Its endpoint is in AWS_ENDPOINT_URL.

emulator.py bucket NAME             makes a bucket for the packages.
emulator.py reduce                  takes what the emulator lacks out of the CloudFormation template (JSON) on stdin.
emulator.py inventory STACK BUILD   prints, as JSON, what there is after a deployment, and what sam built in a folder for it.
emulator.py delete STACK            removes a stack.

Run it with the Python of SAM CLI's environment (infra/tools/python/venv sam).
"""

import ast
import hashlib
import json
import pathlib
import sys

import boto3

# All that the emulator's CloudFormation lacks, and so is not deployed there. Tests on the translated template hold what
# the template says of these.
MISSING_TYPES = {
    "AWS::ApiGatewayV2::Api": "not there",
    "AWS::ApiGatewayV2::Stage": "not there",
    "AWS::ApiGatewayV2::DomainName": "not there",
    "AWS::ApiGatewayV2::ApiMapping": "not there",
    "AWS::Lambda::Permission": "lets the API invoke a function, and so refers to the API",
    "AWS::CloudWatch::Alarm": "not there",
    "AWS::CloudWatch::Dashboard": "not there",
}
MISSING_OUTPUTS = {
    "ApiUrl": "refers to the API",
    "DomainTarget": "refers to the domain",
}
MISSING_SECTIONS = {
    "Rules": "does not know their functions",
}


def reduce(template):
    template["Resources"] = {
        name: resource for name, resource in template["Resources"].items() if resource["Type"] not in MISSING_TYPES
    }
    for name in MISSING_OUTPUTS:
        del template["Outputs"][name]
    for name in MISSING_SECTIONS:
        del template[name]
    return template


def inventory(stack, build):
    """What there is, by the logical ids of the template, in the words of the service that has it; what is missing there; and
    the SHA-256 of the functions' programs."""
    resources = boto3.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    found = {}
    for resource in resources:
        look = LOOKS.get(resource["ResourceType"])
        found[resource["LogicalResourceId"]] = {
            "Type": resource["ResourceType"],
            "Name": resource["PhysicalResourceId"],
            "Found": look(resource["PhysicalResourceId"]) if look else None,
        }
    programs = {path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in pathlib.Path(build).glob("*/bootstrap")}
    return {"Resources": found, "Missing": MISSING_TYPES, "Programs": programs}


def look_at_function(name):
    return boto3.client("lambda").get_function_configuration(FunctionName=name)


def look_at_role(name):
    client = boto3.client("iam")
    role = client.get_role(RoleName=name)["Role"]
    names = client.list_role_policies(RoleName=name)["PolicyNames"]
    policies = [client.get_role_policy(RoleName=name, PolicyName=policy) for policy in names]
    # The emulator gives them in the notation of Python.
    role["Policies"] = [
        {"PolicyName": policy["PolicyName"], "PolicyDocument": ast.literal_eval(policy["PolicyDocument"])} for policy in policies
    ]
    role["Attached"] = client.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    return role


def look_at_log_group(name):
    groups = boto3.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return next(group for group in groups if group["logGroupName"] == name)


def look_at_table(name):
    return boto3.client("dynamodb").describe_table(TableName=name)["Table"]


def look_at_key(key_id):
    # Of a key made by CloudFormation the emulator tells neither its policy nor its rotation: it fails when it is asked.
    client = boto3.client("kms")
    key = next(key for key in client.list_keys()["Keys"] if key["KeyId"] == key_id)
    key["Aliases"] = [alias["AliasName"] for alias in client.list_aliases()["Aliases"] if alias["TargetKeyId"] == key_id]
    return key


LOOKS = {
    "AWS::Lambda::Function": look_at_function,
    "AWS::IAM::Role": look_at_role,
    "AWS::Logs::LogGroup": look_at_log_group,
    "AWS::DynamoDB::Table": look_at_table,
    "AWS::KMS::Key": look_at_key,
}


def main(command, *names):
    if command == "bucket":
        region = boto3.session.Session().region_name
        boto3.client("s3").create_bucket(Bucket=names[0], CreateBucketConfiguration={"LocationConstraint": region})
    elif command == "reduce":
        json.dump(reduce(json.load(sys.stdin)), sys.stdout, indent=1)
    elif command == "inventory":
        json.dump(inventory(*names), sys.stdout, indent=1, default=str)
    elif command == "delete":
        boto3.client("cloudformation").delete_stack(StackName=names[0])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:] or [""])
