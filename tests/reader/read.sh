#!/bin/bash
# read.sh ARGUMENT...: runs the independent reader with what install.sh installed; see reader.py.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHON=${CREDENZA_READER:-$HOME/.cache/credenza-reader}/bin/python
if [ ! -x "$PYTHON" ]; then
    echo "the reader is not installed: run $HERE/install.sh" >&2
    exit 1
fi
PYTHONDONTWRITEBYTECODE=1 exec "$PYTHON" "$HERE/reader.py" "$@"
