"""Compares a table of error codes, from standard input, with the service models: namespace, shape, query code and status.

    codes.py OLD_BOTOCORE_FOLDER
"""

import json
import os
import sys

import botocore

import model

MODEL = model.load(os.path.dirname(os.path.dirname(botocore.__file__)))
QUERY_MODEL = model.load(sys.argv[1])


def main():
    known = {name for name, shape in MODEL["shapes"].items() if shape.get("exception")}
    told = set()
    for namespace, shape, code, status in json.load(sys.stdin):
        if namespace != "com.amazonaws.sqs":
            model.must(shape not in known, "is of SQS", shape)
            continue
        told.add(shape)
        expected_code, expected_status = model.expected_error(MODEL, QUERY_MODEL, shape)
        model.must(code == expected_code, "another code", shape, code, expected_code)
        model.must(expected_status in (None, status), "another status", shape, status, expected_status)
    # Keys of the key management service are stored and never asked for.
    untold = {name for name in known - told if not name.startswith("Kms")}
    model.must(not untold, "never told", untold)
    print(f"{len(told)} codes agree with the models")


main()
