"""Checks what docs/deploy.md says of AWS against the models that the AWS SDK has of its services.

commands.py commands   takes a list of AWS CLI commands (lists of arguments, as JSON) on stdin,
commands.py actions    a list of IAM actions, such as kms:Decrypt,

and prints what is wrong with them, a line each;

commands.py needs      takes a list of types of resources, such as AWS::KMS::Key,

and prints, as JSON, the IAM actions that CloudFormation's own schemas, which cfn-lint has, declare for making, reading,
changing and deleting them, each with who declares it. Run it with the Python of SAM CLI's environment.
"""

import json
import sys
from pathlib import Path

import botocore.session
import cfnlint
from botocore import xform_name

SESSION = botocore.session.get_session()
EVERYWHERE = {"query", "output", "region", "profile"}
# Commands of the AWS CLI that are made of several operations, and so have no model.
COMPOSED = {("logs", "tail"): {"since", "filter-pattern", "follow", "format"}}
# Options that the AWS CLI has under another name than the model.
RENAMED = {("sns", "subscribe"): {"notification-endpoint"}}
# Permissions that no operation has the name of. S3 and API Gateway have names of their own for nearly all.
ONLY_PERMISSIONS = {
    "apigateway:AddCertificateToDomain",
    "apigateway:RemoveCertificateFromDomain",
    "apigateway:TagResource",
    "apigateway:UntagResource",
    "iam:PassRole",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:UpdateLogDelivery",
}
S3_ACTIONS = {
    "s3:GetObjectVersion": "GetObject",
    "s3:ListBucket": "ListObjects",
    "s3:PutBucketPublicAccessBlock": "PutPublicAccessBlock",
    "s3:PutEncryptionConfiguration": "PutBucketEncryption",
    "s3:PutLifecycleConfiguration": "PutBucketLifecycleConfiguration",
}
METHODS = {"DELETE", "GET", "PATCH", "POST", "PUT"}


def known_options(service, command):
    """The options that a command has, or None where there is no such command."""
    if (service, command) in COMPOSED:
        return COMPOSED[service, command]
    model = SESSION.get_service_model(service)
    for operation in model.operation_names:
        if xform_name(operation, "-") == command:
            shape = model.operation_model(operation).input_shape
            names = {xform_name(member, "-"): member for member in (shape.members if shape else {})}
            return set(names) | {"no-" + name for name, member in names.items() if shape.members[member].type_name == "boolean"}
    return None


def waits(service, name):
    return name in (xform_name(waiter, "-") for waiter in SESSION.get_waiter_model(service).waiter_names)


def problem_of_command(arguments):
    service, command, *rest = arguments
    if command == "wait":
        if not waits(service, rest[0]):
            return f"there is nothing to wait for of the name {rest[0]}"
        model = {"table-exists": "describe-table", "table-not-exists": "describe-table"}
        command, rest = model[rest[0]], rest[1:]
    known = known_options(service, command)
    if known is None:
        return "there is no such command"
    options = {argument[2:] for argument in rest if argument.startswith("--")}
    if unknown := options - known - EVERYWHERE - RENAMED.get((service, command), set()):
        return f"there is no option {sorted(unknown)}"
    return None


def problem_of_action(action):
    service, _, name = action.partition(":")
    if action in ONLY_PERMISSIONS or service == "apigateway" and name in METHODS:
        return None
    model = SESSION.get_service_model(service)
    if S3_ACTIONS.get(action, name) not in model.operation_names:
        return "there is no such action"
    return None


def needs(types):
    schemas = Path(cfnlint.__file__).parent / "data" / "schemas"
    names = json.loads((schemas / "providers" / "eu-west-1.json").read_text(encoding="utf-8"))
    declared = {}
    for kind in types:
        handlers = json.loads((schemas / "resources" / f"{names[kind]}.json").read_text(encoding="utf-8"))["handlers"]
        for handler in handlers.keys() - {"list"}:  # it is for who looks for resources, not for stacks
            for action in handlers[handler]["permissions"]:
                declared.setdefault(action, []).append(f"{kind} {handler}")
    return {action: sorted(by) for action, by in declared.items()}


def main(what):
    if what == "needs":
        json.dump(needs(json.load(sys.stdin)), sys.stdout)
        return
    check = {"commands": problem_of_command, "actions": problem_of_action}[what]
    for item in json.load(sys.stdin):
        if problem := check(item):
            print(f"{item if isinstance(item, str) else ' '.join(item)}: {problem}")


if __name__ == "__main__":
    main(*sys.argv[1:])
