#!/usr/bin/env bash
# Resolves pyproject.toml anew for Linux x86_64 and every supported Python (3.10 to 3.12 in one file, with markers),
# with the hash of each file: tools/locks/demo.txt for users, test.txt with what the tests need on top.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
compile() { "$uv" pip compile pyproject.toml --universal --python-version 3.10 --generate-hashes --quiet --upgrade --custom-compile-command "make lock" "$@"; }
compile --output-file tools/locks/demo.txt
compile --extra dev --constraint tools/locks/demo.txt --output-file tools/locks/test.txt
echo "lock: $(grep -c == tools/locks/demo.txt) lines for users, $(grep -c == tools/locks/test.txt) with the tests' packages"
