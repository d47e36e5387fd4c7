"""parameters.py ARGUMENT…: prints, as JSON, the parameters that `sam deploy ARGUMENT…` sends to CloudFormation.

Those whose previous values are kept are null. Nothing is sent: SAM CLI reads its command line and samconfig.toml, and is
stopped before it packages and deploys. Run it with the Python of SAM CLI's environment (infra/tools/python/venv sam).
"""

import json
import shutil
import sys

from samcli.cli.main import cli
from samcli.commands.deploy.deploy_context import DeployContext
from samcli.commands.package.package_context import PackageContext
from samcli.yamlhelper import yaml_parse


def package(context):
    shutil.copyfile(context.template_file, context.output_template_file)


def deploy(context):
    with open(context.template_file, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    parameters = context.merge_parameters(template, context.parameter_overrides)
    json.dump({p["ParameterKey"]: p.get("ParameterValue") for p in parameters}, sys.stdout)


PackageContext.run = package
DeployContext.run = deploy
cli(["deploy", "--template-file", "template.yaml", "--no-resolve-s3", "--s3-bucket", "bucket", *sys.argv[1:]])
