#!/bin/sh
# Write requirements.lock anew from pyproject.toml: exact versions with the hashes of all their files, no index named.
# `sh scripts/lock.sh --upgrade` moves all packages to the newest versions that pyproject.toml allows.
set -eu
cd "$(dirname "$0")/.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"${PYTHON:-python3}" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet pip-tools

# Setuptools is a run-time dependency of some packages, hence --allow-unsafe, which is pip-tools' word for pinning it.
CUSTOM_COMPILE_COMMAND="make lock" "$tools/bin/pip-compile" --quiet --extra dev --extra fpga --extra cluster --generate-hashes --strip-extras \
    --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
    --output-file requirements.lock "$@" pyproject.toml
