"""Prints, as JSON, the CloudFormation template that SAM generates from a SAM template. It runs the same code that AWS runs when
a stack is deployed, and needs no network.

template.py translate TEMPLATE
template.py resolve TEMPLATE [PARAMETER=VALUE…]

resolve also replaces every Ref, Fn::If and so on by its value, and leaves out what a condition leaves out. A reference to a
resource becomes the resource's logical ID, and one to its attribute becomes ID.Attribute.

Run it with the Python of SAM CLI's environment.
"""

import json
import os
import re
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

PSEUDO_PARAMETERS = {
    "AWS::StackName": "test",
    "AWS::Region": "eu-west-1",
    "AWS::Partition": "aws",
    "AWS::AccountId": "123456789012",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::NoValue": None,
}


class ManagedPolicies:
    """The translator looks up AWS's managed policies here. The template uses none."""

    def load(self):
        return {}


def translate(path, parameters):
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    if unknown := parameters.keys() - template["Parameters"].keys():
        sys.exit(f"{path} does not have the parameters {sorted(unknown)}")
    # The translator expects code that has been uploaded.
    if template["Globals"]["Function"].get("CodeUri") == ".":
        template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # required, not used
    return transform(template, parameters, ManagedPolicies())


class Resolver:
    def __init__(self, template, parameters):
        self.conditions, self.resources = template["Conditions"], template["Resources"]
        defaults = {name: p["Default"] for name, p in template["Parameters"].items()}
        self.values = PSEUDO_PARAMETERS | defaults | parameters

    def applies(self, part):
        return "Condition" not in part or self.resolve(self.conditions[part["Condition"]])

    def reference(self, name):
        if name not in self.values and name.split(".")[0] not in self.resources:
            sys.exit(f"the template refers to {name}, which is neither a parameter nor a resource")
        return self.values.get(name, name)

    def resolve(self, value):
        match value:
            case {"Ref": name}:
                return self.reference(name)
            case {"Fn::GetAtt": [resource, attribute]}:
                return f"{resource}.{attribute}"
            case {"Fn::Sub": [text, own]}:
                return re.sub(r"\$\{([\w:.]+)\}", lambda name: str(self.resolve(own.get(name[1], {"Ref": name[1]}))), text)
            case {"Fn::Sub": text}:
                return self.resolve({"Fn::Sub": [text, {}]})
            case {"Fn::Join": [separator, parts]}:
                return separator.join(str(self.resolve(part)) for part in parts)
            case {"Fn::Split": [separator, text]}:
                return self.resolve(text).split(separator)
            case {"Fn::If": [condition, yes, no]}:
                return self.resolve(yes if self.resolve(self.conditions[condition]) else no)
            case {"Fn::Equals": [left, right]}:
                return self.resolve(left) == self.resolve(right)
            case {"Fn::Not": [condition]}:
                return not self.resolve(condition)
            case dict():
                if unknown := [name for name in value if name.startswith("Fn::")]:
                    sys.exit(f"resolve does not know {unknown}")
                return {name: part for name, old in value.items() if (part := self.resolve(old)) is not None}
            case list():
                return [part for old in value if (part := self.resolve(old)) is not None]
        return value


def resolve(path, parameters):
    template = translate(path, parameters)
    resolver = Resolver(template, parameters)
    for section in ("Resources", "Outputs"):
        template[section] = {name: resolver.resolve(part) for name, part in template[section].items() if resolver.applies(part)}
    return template


if __name__ == "__main__":
    _, command, path, *pairs = sys.argv
    run = {"translate": translate, "resolve": resolve}[command]
    json.dump(run(path, dict(pair.split("=", 1) for pair in pairs)), sys.stdout, indent=1)
