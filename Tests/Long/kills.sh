#!/usr/bin/env bash
# As Tests/MPI/resume.sh, with 200 kills.
exec "$(dirname "$0")/../MPI/resume.sh" "${1:-}" "${KILLS:-200}"
