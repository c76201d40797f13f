"""Fetches the bucket argv[2] with boto3 from the endpoint argv[1] into the folder argv[3]."""
import os
import sys

import boto3

endpoint, bucket, folder = sys.argv[1:4]
s3 = boto3.client("s3", endpoint_url=endpoint)
for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
    for key in (found["Key"] for found in page.get("Contents", []) if not found["Key"].endswith("/")):
        path = os.path.join(folder, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        s3.download_file(bucket, key, path)
