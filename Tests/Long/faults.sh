#!/usr/bin/env bash
# As Tests/Faults/run.sh, with every call and every error. Usage: Tests/Long/faults.sh [BINARY_DIRECTORY]
exec "$(dirname "$0")/../Faults/run.sh" --all ${1:+--in "$1"}
