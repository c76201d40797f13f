"""Reads {OPERATION: parameters} from standard input, and holds each against the service's own model of AWS Batch: no member may be unknown."""

import json
import sys

import botocore.session
import botocore.validate

model = botocore.session.Session().get_service_model("batch")
for operation, parameters in json.load(sys.stdin).items():
    shape = model.operation_model(operation.partition(" ")[0]).input_shape
    found = botocore.validate.ParamValidator().validate(parameters, shape)
    if found.has_errors():
        sys.exit(f"{operation}: {found.generate_report()}")
    print(operation)
