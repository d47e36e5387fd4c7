"""translate.py TEMPLATE [PARAMETER=VALUE…]: prints, as JSON, the CloudFormation template that SAM makes of a SAM template.

It asks nobody: AWS does the same with the same code when a stack is deployed. Run it with the Python of SAM CLI's
environment (infra/tools/python/venv sam).
"""

import json
import os
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    """The translator asks it for AWS's managed policies; this template uses none."""

    def load(self):
        return {}


def translate(path, parameters):
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    # The translator wants code that has been uploaded.
    parts = [template.get("Globals", {}).get("Function", {})]
    parts += [resource.get("Properties", {}) for resource in template["Resources"].values()]
    for part in parts:
        if isinstance(part.get("CodeUri"), str) and not part["CodeUri"].startswith("s3://"):
            part["CodeUri"] = "s3://bucket/key"
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # it wants some region, and writes it nowhere
    return transform(template, parameters, NoManagedPolicies())


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: translate.py TEMPLATE [PARAMETER=VALUE…]")
    json.dump(translate(sys.argv[1], dict(a.split("=", 1) for a in sys.argv[2:])), sys.stdout, indent=1)
