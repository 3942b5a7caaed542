#!/usr/bin/env bash
# Every gate of the Python packages: lint, types, tests against the built server. Makes its own virtual environment
# from pinned versions under target/sdk (again when the pins change); that is the only step that needs a network, and
# the tests run without one where the system lets us take it away.
#   sdk/ci.sh            VECTRON_BIN (target/debug/vectron), PYTHON (python3), VECTRON_SDK_VENV (target/sdk/venv)
set -euo pipefail
cd "$(dirname "$0")/python"
root=$(cd ../.. && pwd)
export VECTRON_BIN="${VECTRON_BIN:-$root/target/debug/vectron}"
venv="${VECTRON_SDK_VENV:-$root/target/sdk/venv}"
pins="$venv/pins"

step() { printf '\n== python: %s (%ss)\n' "$1" "$SECONDS"; }

if [ ! -x "$VECTRON_BIN" ]; then
    echo "no server at $VECTRON_BIN: cargo build -p vectron, or set VECTRON_BIN" >&2
    exit 1
fi

if ! cmp -s requirements-dev.txt "$pins"; then
    step "virtual environment"
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r requirements-dev.txt
    # The first call fetches the checker itself.
    "$venv/bin/pyright" --version
    cp requirements-dev.txt "$pins"
fi
# Installed as users have it: what is missing from the package is missing here.
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-index --no-build-isolation --no-deps \
    --force-reinstall .
rm -rf build src/vectron.egg-info
export PATH="$venv/bin:$PATH" VIRTUAL_ENV="$venv" PYTHONDONTWRITEBYTECODE=1 PYRIGHT_PYTHON_IGNORE_WARNINGS=1

step "lint"
ruff format --check --quiet .
ruff check --quiet .
python tools/make_async.py --check

step "types"
pyright --pythonpath "$venv/bin/python"
# Where no source tree is, so that the installed package is what is looked at.
score=$(cd "$venv" && pyright --verifytypes vectron --ignoreexternal | tee /dev/stderr |
    sed -n 's/^Type completeness score: \([0-9.]*\)%$/\1/p')
awk -v score="${score:-0}" 'BEGIN { exit !(score >= 99) }'

step "tests"
alone() { "$@"; }
if unshare -rn true 2>/dev/null && command -v ip >/dev/null; then
    alone() { unshare -rn sh -c 'ip link set lo up && exec "$@"' sh "$@"; }
fi
alone python -m pytest -q -p no:cacheprovider "$@"

step "done"
