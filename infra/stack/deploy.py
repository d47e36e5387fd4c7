"""deploy.py STACK: builds, packages and deploys the stack with SAM CLI, into moto server at WEBHOOKS_TEST_MOTO_ENDPOINT instead of
AWS, and puts an event on its bus. Prints as JSON what is deployed and in the queue then, and deletes the stack. Run it with the
Python of SAM CLI's environment.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import boto3
from template import translate

# moto cannot create these.
MISSING = (
    "AWS::ApiGatewayV2::",
    "AWS::CloudWatch::",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Permission",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::",
)
ROOT = pathlib.Path(__file__).parents[2]


def sam(*arguments):
    program = pathlib.Path(sys.executable).with_name("sam")
    subprocess.run([program, *arguments], cwd=ROOT, stdout=sys.stderr, check=True)


def deploy(stack, directory):
    build, packaged, reduced = (f"{directory}/{name}" for name in ("build", "packaged.yaml", "template.json"))
    sam("build", "--build-dir", build, "--cache-dir", f"{directory}/cache")
    boto3.client("s3").create_bucket(Bucket=stack, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    sam("package", "--template-file", f"{build}/template.yaml", "--s3-bucket", stack, "--output-template-file", packaged)
    # moto ignores SAM's resource types, which AWS translates during the deployment.
    template = translate(packaged, {})
    template["Resources"] = {name: r for name, r in template["Resources"].items() if not r["Type"].startswith(MISSING)}
    del template["Rules"], template["Outputs"]  # the functions in Rules, and references to the API
    pathlib.Path(reduced).write_text(json.dumps(template), encoding="utf-8")
    sam("deploy", "--template-file", reduced, "--stack-name", stack, "--s3-bucket", stack, "--capabilities", "CAPABILITY_IAM")

    deployed = boto3.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    names = {r["LogicalResourceId"]: r.get("PhysicalResourceId") for r in deployed}  # moto lacks that of an event bus
    event = {"EventBusName": stack, "Source": "test", "DetailType": "published", "Detail": "{}"}
    boto3.client("events").put_events(Entries=[event])
    ingested = boto3.client("sqs").receive_message(QueueUrl=names["IngestQueue"], WaitTimeSeconds=5)
    return {
        "Ingested": [message["Body"] for message in ingested.get("Messages", [])],
        "Expected": sorted(template["Resources"]),
        "Names": names,
        "Functions": {
            name: boto3.client("lambda").get_function_configuration(FunctionName=names[name])
            for name in names
            if name.endswith("Function")
        },
        "Programs": {p.parent.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in pathlib.Path(build).glob("*/bootstrap")},
    }


if __name__ == "__main__":
    for variable in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "ARCH"):
        os.environ.pop(variable, None)
    os.environ |= {
        "AWS_ENDPOINT_URL": os.environ["WEBHOOKS_TEST_MOTO_ENDPOINT"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "SAM_CLI_TELEMETRY": "0",
    }
    with tempfile.TemporaryDirectory() as directory:
        try:
            json.dump(deploy(sys.argv[1], directory), sys.stdout, default=str)
        finally:
            boto3.client("cloudformation").delete_stack(StackName=sys.argv[1])
