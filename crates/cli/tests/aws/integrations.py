"""What state machines and schedules hand to services, against botocore's models of them: each parameter is one that the operation has, those
that it needs are there, and each has the type that is wanted. Prints what is wrong, and how many calls it has looked at."""

import json
import re
import sys

import botocore.session

SERVICES = {"sfn": "stepfunctions"}
SESSION = botocore.session.get_session()


def operation(service, action):
    model = SESSION.get_service_model(SERVICES.get(service, service))
    name = action[0].upper() + action[1:]
    return model.operation_model(name)


def lower(name):
    return name[0].lower() + name[1:]


def check(shape, value, path, wrong):
    if isinstance(value, str) and value.startswith("{%"):
        return
    if shape.type_name == "structure":
        if not isinstance(value, dict):
            wrong.append(f"{path}: no structure")
            return
        # The state language writes every member with a capital letter.
        members = {lower(name): (name, member) for name, member in shape.members.items()}
        for name, inner in value.items():
            if not name[0].isupper():
                wrong.append(f"{path}.{name}: begins with a small letter")
            if lower(name) not in members:
                wrong.append(f"{path}.{name}: unknown")
                continue
            check(members[lower(name)][1], inner, f"{path}.{name}", wrong)
        written = {lower(name) for name in value}
        for name in shape.required_members:
            if lower(name) not in written:
                wrong.append(f"{path}.{name}: missing")
    elif shape.type_name == "list":
        if not isinstance(value, list):
            wrong.append(f"{path}: no list")
            return
        for number, inner in enumerate(value):
            check(shape.member, inner, f"{path}[{number}]", wrong)
    elif shape.type_name == "string":
        if not isinstance(value, str):
            wrong.append(f"{path}: no text")
        elif shape.enum and value not in shape.enum:
            wrong.append(f"{path}: {value} is none of {shape.enum}")
    elif shape.type_name in ("integer", "long") and not isinstance(value, int):
        wrong.append(f"{path}: no number")
    elif shape.type_name == "boolean" and not isinstance(value, bool):
        wrong.append(f"{path}: neither true nor false")


def calls(template):
    for name, resource in template["Resources"].items():
        properties = resource["Properties"]
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            for state, of in json.loads(properties["DefinitionString"])["States"].items():
                if of["Type"] != "Task":
                    continue
                parts = of["Resource"].removeprefix("arn:aws:states:::").split(":")
                service, action = parts[-2], parts[-1].split(".")[0]
                yield f"{name}/{state}", service, action, of["Arguments"]
        elif resource["Type"] == "AWS::Scheduler::Schedule":
            target = properties["Target"]
            service, action = target["Arn"]["Fn::Sub"].split(":")[-2:]
            text = re.sub(r"<aws\.scheduler\.[a-z-]+>", "filled", target["Input"]["Fn::Sub"])
            yield name, service, action, json.loads(text)


def main():
    wrong, count = [], 0
    for file in sys.argv[1:]:
        with open(file) as opened:
            template = json.load(opened)
        for place, service, action, arguments in calls(template):
            count += 1
            check(operation(service, action).input_shape, arguments, f"{file}: {place}", wrong)
    print(f"{count} calls")
    for line in wrong:
        print(line)
    sys.exit(1 if wrong or count == 0 else 0)


main()
