#!/bin/bash
# Create .venv if it is missing or unusable, install the pinned packages of the given file, then this project.
#
# The project itself cannot be pinned by a hash, so it is installed last, editable, from packages already there.
# PYTHON chooses the interpreter; without it the first suitable python3 is taken.
set -euo pipefail

lock=$1
apt_line='apt-get install make git python3-venv'

suitable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

stop() {
    echo "setup: $*" >&2
    exit 2
}

choose_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if suitable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    if ! command -v "${PYTHON:-python3}" >/dev/null; then
        stop "${PYTHON:-python3} is not installed; on Debian or Ubuntu: $apt_line"
    fi
    stop "Python 3.11 or newer is needed, ${PYTHON:-python3} is $("${PYTHON:-python3}" -V 2>&1);" \
        "install a newer one and name it: make PYTHON=/path/to/python3"
}

if ! suitable .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=$(choose_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        stop "this Python cannot create environments; on Debian or Ubuntu: $apt_line"
    "$python" -m venv --clear .venv
fi

echo "setup: installing $(grep -c '^[a-zA-Z0-9]' "$lock") pinned packages into .venv"
pip=(.venv/bin/python -m pip --quiet --disable-pip-version-check --no-input install)
"${pip[@]}" --require-hashes --requirement "$lock"
"${pip[@]}" --no-deps --no-build-isolation --editable .
