#!/usr/bin/env bash
# Creates .venv and installs this package with what it needs: `tools/setup.sh demo` or `tools/setup.sh test`.
# Does nothing, in a moment, when all is there already.
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:?usage: tools/setup.sh demo|test}
candidates=${PYTHON:-python3 python3.12 python3.11 python3.10}

supported() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1; }

if [ -x .venv/bin/python ]; then
    python=.venv/bin/python
    if ! supported "$python"; then
        echo "setup: .venv holds $("$python" --version 2>&1); expected Python 3.10 to 3.12. Remove it (rm -r .venv) and try again." >&2
        exit 1
    fi
else
    python=
    for candidate in $candidates; do
        if supported "$candidate"; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "setup: no Python 3.10 to 3.12 among: $candidates (python3 is $(python3 --version 2>&1 || true))." >&2
        echo "Install one (Debian 12: apt-get install python3 python3-venv) or name it: make PYTHON=/path/to/python3.11 ..." >&2
        exit 1
    fi
fi

tools/system_packages.sh "$purpose" "$python"

if [ ! -x .venv/bin/python ]; then
    echo "setup: creating .venv with $("$python" --version)"
    "$python" -m venv .venv || { rm -rf .venv; exit 1; }
fi
exec .venv/bin/python tools/install.py "$purpose"
