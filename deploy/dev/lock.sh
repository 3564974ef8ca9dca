#!/bin/bash
# Write requirements.lock (what the demo and the services need) and requirements-dev.lock (everything), with hashes.
#
# pip-tools gets a throw-away environment: it depends on pip itself, which has no place in a pinned environment.
# Extra arguments go to pip-compile. Nothing of this machine's pip settings may end up in the files.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install pip-tools

compile() {
    local output=$1
    shift
    CUSTOM_COMPILE_COMMAND='make lock' "$work/venv/bin/pip-compile" --quiet --generate-hashes --allow-unsafe \
        --strip-extras --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
        --build-deps-for=editable --output-file="$output" "$@" pyproject.toml
}

compile requirements.lock --extra=services --extra=otel "$@"
compile requirements-dev.lock --extra=dev --constraint=requirements.lock "$@"
