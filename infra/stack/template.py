"""Prints, as JSON, the CloudFormation template that SAM generates from a SAM template. It runs the code that AWS runs when a stack
is deployed, without a network. Run it with the Python of SAM CLI's environment.

template.py translate TEMPLATE
template.py resolve TEMPLATE [PARAMETER=VALUE…]

resolve also replaces every Ref, Fn::If and so on by its value, and leaves out what a condition leaves out. A reference to a
resource becomes its logical ID, and one to an attribute ID.Attribute.
"""

import json
import os
import re
import sys
from types import SimpleNamespace

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


def translate(path, parameters):
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    if unknown := parameters.keys() - template["Parameters"].keys():
        sys.exit(f"{path} does not have the parameters {sorted(unknown)}")
    # The translator expects code that has been uploaded.
    if template["Globals"]["Function"].get("CodeUri") == ".":
        template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # required, not used
    return transform(template, parameters, SimpleNamespace(load=dict))  # without AWS's managed policies


def resolve(path, parameters):
    template = translate(path, parameters)
    values = PSEUDO_PARAMETERS | {name: p["Default"] for name, p in template["Parameters"].items()} | parameters

    def resolved(value):
        match value:
            case {"Ref": name}:
                if name not in values and name.split(".")[0] not in template["Resources"]:
                    sys.exit(f"the template refers to {name}, which is neither a parameter nor a resource")
                return values.get(name, name)
            case {"Fn::GetAtt": [resource, attribute]}:
                return resolved({"Ref": f"{resource}.{attribute}"})
            case {"Fn::Sub": [text, own]}:
                return re.sub(r"\$\{([\w:.]+)\}", lambda name: str(resolved(own.get(name[1], {"Ref": name[1]}))), text)
            case {"Fn::Sub": text}:
                return resolved({"Fn::Sub": [text, {}]})
            case {"Fn::Join": [separator, parts]}:
                return separator.join(str(resolved(part)) for part in parts)
            case {"Fn::Split": [separator, text]}:
                return resolved(text).split(separator)
            case {"Fn::If": [condition, yes, no]}:
                return resolved(yes if applies(condition) else no)
            case {"Fn::Equals": [left, right]}:
                return resolved(left) == resolved(right)
            case {"Fn::Not": [condition]}:
                return not resolved(condition)
            case dict():
                if unknown := [name for name in value if name.startswith("Fn::")]:
                    sys.exit(f"resolve does not know {unknown}")
                return {name: part for name, old in value.items() if (part := resolved(old)) is not None}
            case list():
                return [part for old in value if (part := resolved(old)) is not None]
        return value

    def applies(condition):
        return condition is None or resolved(template["Conditions"][condition])

    for section in ("Resources", "Outputs"):
        template[section] = {name: resolved(p) for name, p in template[section].items() if applies(p.get("Condition"))}
    return template


if __name__ == "__main__":
    _, command, path, *pairs = sys.argv
    run = {"translate": translate, "resolve": resolve}[command]
    json.dump(run(path, dict(pair.split("=", 1) for pair in pairs)), sys.stdout, indent=1)
