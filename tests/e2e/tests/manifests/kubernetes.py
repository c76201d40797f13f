"""Reads a List of Kubernetes from standard input, and holds each item against the schema that the project publishes: no field may be unknown."""

import json
import sys

import kubernetes_validate

items = json.load(sys.stdin)["items"]
for item in items:
    kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)
print(len(items))
