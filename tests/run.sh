#!/usr/bin/env bash
# Checks everything on a fresh machine: system packages, a new virtual environment, lint, types, tests with coverage.
# Usage: bash tests/run.sh [VENV]   (VENV: where the environment is made; default: a temporary folder, removed at the end)
set -euo pipefail
cd "$(dirname "$0")/.."

libraries=$(ldconfig -p) # OpenCV loads these three; a pipe into `grep -q` may fail by SIGPIPE
if ! [[ $libraries == *libGL.so.1* && $libraries == *libglib-2.0.so.0* && $libraries == *libxcb.so.1* ]] ||
    ! python3 -c "import ensurepip" 2>/dev/null || ! command -v chromium >/dev/null; then
    sudo=$([ "$(id -u)" -eq 0 ] || echo sudo)
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends libgl1 libglib2.0-0 libxcb1 python3-venv chromium
fi

venv=${1:-$(mktemp -d)/venv}
[ $# -gt 0 ] || trap 'rm -rf "$(dirname "$venv")"' EXIT
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --upgrade pip
"$venv/bin/pip" install --quiet --editable '.[test,docs]'

"$venv/bin/ruff" format --check .
"$venv/bin/ruff" check .
"$venv/bin/mypy"
NO_MKDOCS_2_WARNING=1 "$venv/bin/mkdocs" build --quiet --strict --site-dir "$venv/site"
if command -v npm >/dev/null &&
    npm ci --silent --ignore-scripts --no-audit --no-fund --fetch-retries 0 --fetch-timeout 20000; then
    npm run --silent check
else
    echo "The page's JavaScript is not checked: npm or its registry is not to be had here."
fi
"$venv/bin/python" -m pytest -n 2 --dist worksteal --cov --cov-report=term
