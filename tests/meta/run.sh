#!/usr/bin/env bash
# Checks of the tree itself: include rules, catalogs against files, sizes, stray paths, tests without assertions.
#   tests/meta/run.sh PARE
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec python3 "$here/check.py" "$(realpath "${1:?usage: tests/meta/run.sh PARE}")"
