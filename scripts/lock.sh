#!/bin/sh
# Writes the hashed lock files of requirements/ anew: names, versions and sha256 sums, no address.
#
# Rules:
# 1. What is younger than a week is not taken: a poisoned upload is mostly found by then.
# 2. dev.lock is resolved first and binds the others, so that what a charger installs is what the tests ran.
# 3. A file that would hold an address is not written.
set -eu
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}

compile() { # name, then what to resolve
    name=$1
    shift
    "$uv" pip compile "$@" --output-file "requirements/$name.lock.new" --quiet --upgrade \
        --universal --python-version 3.11 --generate-hashes --exclude-newer '1 week' --no-header --no-annotate
    if grep -nE 'https?://|file:|--index|--find-links' "requirements/$name.lock.new"; then
        echo "lock: requirements/$name.lock.new holds an address" >&2
        exit 1
    fi
    mv "requirements/$name.lock.new" "requirements/$name.lock"
}

compile dev pyproject.toml --extra dev
compile run pyproject.toml --extra signer --extra server --constraint requirements/dev.lock
compile base pyproject.toml --constraint requirements/dev.lock
compile build --group build --constraint requirements/dev.lock
