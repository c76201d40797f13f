"""Fetches the bucket `latest` with boto3 from the endpoint argv[1] into the folder argv[2], and tries presigned links and a clock that is wrong."""
import datetime
import os
import sys
import urllib.error
import urllib.request

import boto3
import botocore.auth
import botocore.exceptions
from botocore.config import Config

endpoint, folder = sys.argv[1:3]
s3 = boto3.client("s3", endpoint_url=endpoint, config=Config(retries={"max_attempts": 1}))
keys = []
for page in s3.get_paginator("list_objects_v2").paginate(Bucket="latest", PaginationConfig={"PageSize": 3}):
    keys += [found["Key"] for found in page.get("Contents", [])]
for key in keys:
    path = os.path.join(folder, key)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not key.endswith("/"):
        s3.download_file("latest", key, path)

link = s3.generate_presigned_url("get_object", Params={"Bucket": "latest", "Key": "sp ace"}, ExpiresIn=600)
with open(os.path.join(folder, "sp ace"), "rb") as fetched:
    assert urllib.request.urlopen(link).read() == fetched.read()
try:
    urllib.request.urlopen(link.replace("sp%20ace", "plain"))
    raise SystemExit("a link opens what it was not made for")
except urllib.error.HTTPError as refused:
    assert refused.code == 403, refused

assert s3.get_bucket_versioning(Bucket="latest")["Status"] == "Enabled"
shown = s3.get_object_attributes(Bucket="latest", Key="large", ObjectAttributes=["ETag", "ObjectSize", "StorageClass"])
assert shown["ObjectSize"] == 20_000_000 and shown["StorageClass"] == "STANDARD", shown

wrong = lambda *_: datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
for name in ("get_current_datetime",):
    if hasattr(botocore.auth, name):
        setattr(botocore.auth, name, lambda remove_tzinfo=True: wrong().replace(tzinfo=None) if remove_tzinfo else wrong())
try:
    boto3.client("s3", endpoint_url=endpoint, config=Config(retries={"max_attempts": 1})).list_buckets()
    raise SystemExit("a request of 2020 is answered")
except botocore.exceptions.ClientError as refused:
    assert refused.response["Error"]["Code"] == "RequestTimeTooSkewed", refused.response
