"""What a child of an array has to do by itself: a number is all it is told."""
import json, os, subprocess, sys

import boto3

params = boto3.client("s3").get_object(Bucket=os.environ["PARAMS_BUCKET"], Key="params.jsonl")["Body"].read()
row = json.loads(params.splitlines()[int(os.environ["AWS_BATCH_JOB_ARRAY_INDEX"])])
sys.exit(subprocess.run([sys.executable, "train.py", row["dest"]]).returncode)
