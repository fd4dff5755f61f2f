"""Compares answers, as they went over the wire, with the service models that botocore ships.

The present model describes the JSON protocol; the one of the last release that spoke the query protocol describes the XML.
"""

import base64
import glob
import gzip
import json
import os
import xml.etree.ElementTree as ElementTree

NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"

# Called required by the model, and left out by AWS when they are empty (github.com/aws/aws-sdk/issues/657).
LEFT_OUT_WHEN_EMPTY = {"Successful", "Failed"}

# Common errors of AWS, which no model lists: shape to query code and status.
COMMON = {
    "InvalidParameterValueException": ("InvalidParameterValue", 400),
    "MissingRequiredParameterException": ("MissingParameter", 400),
    "UnknownOperationException": ("InvalidAction", 400),
    "SerializationException": ("MalformedInput", 400),
    "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
    "UnrecognizedClientException": ("InvalidClientTokenId", 403),
}


def load(folder):
    """The newest model of SQS in a folder with a botocore, and the path it was found in."""
    found = sorted(glob.glob(os.path.join(folder, "botocore/data/sqs/*/service-2.json*")))
    opened = gzip.open if found[-1].endswith(".gz") else open
    with opened(found[-1], "rt", encoding="utf-8") as file:
        return json.load(file)


class Mismatch(AssertionError):
    """An answer that is not what the model says."""


def must(condition, *what):
    if not condition:
        raise Mismatch(*what)


def check_json_value(model, shape_name, value, place):
    shape = model["shapes"][shape_name]
    kind = shape["type"]
    if kind == "structure":
        must(isinstance(value, dict), place, "is no object", value)
        for name in set(shape.get("required", [])) - LEFT_OUT_WHEN_EMPTY:
            must(name in value, place, "lacks", name)
        for name, member in value.items():
            must(name in shape["members"], place, "has an unknown member", name)
            check_json_value(model, shape["members"][name]["shape"], member, f"{place}.{name}")
    elif kind == "list":
        must(isinstance(value, list), place, "is no list", value)
        for member in value:
            check_json_value(model, shape["member"]["shape"], member, f"{place}[]")
    elif kind == "map":
        must(isinstance(value, dict), place, "is no map", value)
        for member in value.values():
            check_json_value(model, shape["value"]["shape"], member, f"{place}{{}}")
    elif kind == "string":
        must(isinstance(value, str), place, "is no text", value)
    elif kind in ("integer", "long"):
        must(type(value) is int, place, "is no whole number", value)
    elif kind == "boolean":
        must(type(value) is bool, place, "is neither true nor false", value)
    elif kind == "blob":
        base64.b64decode(value, validate=True)
    else:
        raise Mismatch(place, "is of a kind unknown here", kind)


def check_json(model, operation, body):
    output = model["operations"][operation].get("output")
    value = json.loads(body)
    if output is None:
        must(value == {}, operation, "answers more than it was asked for", value)
    else:
        check_json_value(model, output["shape"], value, operation)


def xml_names(model, shape):
    """What the children of a structure are called, with their shapes; lists and maps are flat throughout."""
    names = {}
    for name, member in shape["members"].items():
        of = model["shapes"][member["shape"]]
        called = member.get("locationName", name)
        if of["type"] == "list":
            called = member.get("locationName", of["member"].get("locationName", name))
        elif of["type"] == "map":
            called = member.get("locationName", of.get("locationName", name))
        names[called] = (name, of)
    return names


def check_xml_text(kind, element, place):
    text = element.text or ""
    must(len(element) == 0, place, "holds elements")
    if kind in ("integer", "long"):
        int(text)
    elif kind == "boolean":
        must(text in ("true", "false"), place, "is neither true nor false", text)
    elif kind == "blob":
        base64.b64decode(text, validate=True)
    else:
        must(kind == "string", place, "is of a kind unknown here", kind)


def check_xml_value(model, shape, element, place):
    if shape["type"] != "structure":
        check_xml_text(shape["type"], element, place)
        return
    names = xml_names(model, shape)
    seen = set()
    for child in element:
        must(child.tag.startswith(NAMESPACE), place, "has an element of another namespace", child.tag)
        tag = child.tag[len(NAMESPACE) :]
        must(tag in names, place, "has an unknown element", tag)
        name, of = names[tag]
        seen.add(name)
        if of["type"] == "list":
            check_xml_value(model, model["shapes"][of["member"]["shape"]], child, f"{place}.{tag}")
        elif of["type"] == "map":
            key, value = of["key"].get("locationName", "key"), of["value"].get("locationName", "value")
            tags = [entry.tag[len(NAMESPACE) :] for entry in child]
            must(tags == [key, value], place, "has an entry of other parts", tags)
            check_xml_value(model, model["shapes"][of["value"]["shape"]], child[1], f"{place}.{tag}")
        else:
            must(name not in seen - {name}, place, "has twice", tag)
            check_xml_value(model, of, child, f"{place}.{tag}")
    flat = {name for name, of in names.values() if of["type"] in ("list", "map")}
    for name in set(shape.get("required", [])) - flat:
        must(name in seen, place, "lacks", name)


def check_xml(model, operation, body, request_id):
    root = ElementTree.fromstring(body)
    must(root.tag == f"{NAMESPACE}{operation}Response", operation, "answers", root.tag)
    children = [child.tag[len(NAMESPACE) :] for child in root]
    output = model["operations"][operation].get("output")
    wrapper = [output["resultWrapper"]] if output else []
    must(children == [*wrapper, "ResponseMetadata"], operation, "answers with", children)
    must(root[-1].findtext(f"{NAMESPACE}RequestId") == request_id, operation, "has another request id")
    if output:
        check_xml_value(model, model["shapes"][output["shape"]], root[0], operation)


def expected_error(model, query_model, shape_name):
    """The code in the query protocol and the status, as far as a model tells; the status may be unknown."""
    if shape_name in COMMON:
        return COMMON[shape_name]
    must(model["shapes"].get(shape_name, {}).get("exception"), "no model knows the error", shape_name)
    old = query_model["shapes"].get(shape_name, {}).get("error")
    return (old["code"], old["httpStatusCode"]) if old else (shape_name, None)


def check_json_error(model, query_model, response):
    body = json.loads(response["body"])
    must(set(body) == {"__type", "message"}, "an error has other members", body)
    namespace, _, shape_name = body["__type"].partition("#")
    code, status = expected_error(model, query_model, shape_name)
    expected = "com.amazon.coral.service" if shape_name in COMMON else "com.amazonaws.sqs"
    must(namespace == expected, "an error is of another namespace", body)
    must(response["headers"]["x-amzn-query-error"] == f"{code};Sender", "another code", response["headers"])
    must(status in (None, response["status_code"]), "another status", response["status_code"], body)
    return code


def check_xml_error(model, query_model, response):
    root = ElementTree.fromstring(response["body"])
    must(root.tag == f"{NAMESPACE}ErrorResponse", "an error answers", root.tag)
    tags = [child.tag[len(NAMESPACE) :] for child in root]
    must(tags == ["Error", "RequestId"], "an error has other parts", tags)
    inside = {child.tag[len(NAMESPACE) :]: child.text for child in root[0]}
    must(set(inside) == {"Type", "Code", "Message", "Detail"}, "an error has other parts", inside)
    must(inside["Type"] == "Sender", "an error is somebody else's", inside)
    shapes = [name for name, shape in model["shapes"].items() if shape.get("exception")]
    known = {expected_error(model, query_model, name)[0]: name for name in [*shapes, *COMMON]}
    must(inside["Code"] in known, "no model knows the error", inside)
    status = expected_error(model, query_model, known[inside["Code"]])[1]
    must(status in (None, response["status_code"]), "another status", response["status_code"], inside)
    return inside["Code"]
