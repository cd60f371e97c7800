#!/bin/sh
# Makes .venv from the hashed lock files: scripts/bootstrap.sh base | run | dev
#
# What it does: finds a Python, makes the environment, installs one lock, puts the checkout itself into it.
# What it does not do: install system packages; where one is missing it says which, and exits 2.
#
# Rules:
# 1. Only wheels whose sha256 stands in the lock are installed, and nothing is resolved: a lock is a closed set (a test
#    says so), so what an index serves later cannot change or break an environment.
# 2. A stamp holds the sum of all that decides the environment: a run that would change nothing does nothing.
# 3. The stamp is written last, so that a run that was killed is done again.
# 4. base (what a charger carries) is part of run (the demo), and run of dev (the tests); a test says so. A larger
#    environment serves the smaller profile and is not taken back; a smaller one is added to; all else is made anew.
# 5. Two at once wait for each other.
set -eu

fail() {
    echo "bootstrap: $*" >&2
    exit 2
}

cd "$(dirname "$0")/.."
profile=${1:-run}
venv=.venv
case $profile in
base) smaller='' larger='run dev' ;;
run) smaller=base larger=dev ;;
dev) smaller='base run' larger='' ;;
*) fail "unknown profile '$profile': say base, run or dev" ;;
esac

python_is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        python_is_new_enough "$PYTHON" || fail "PYTHON=$PYTHON is not a Python of 3.11 or newer"
        echo "$PYTHON"
        return
    fi
    for candidate in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 && python_is_new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python of 3.11 or newer found; on Debian: apt-get install -y python3 python3-venv"
}

stamp_of() { # the sum of what an environment of this profile is made from
    {
        "$python" -c 'import sys; print(sys.version)'
        pwd
        sed '/^\[tool\./,$d' pyproject.toml
        cat "requirements/$1.lock" requirements/build.lock scripts/bootstrap.sh
    } | sha256sum | cut -d ' ' -f 1
}

stands() { # whether the environment was made for one of these, and nothing it is made from has changed since
    [ -x "$venv/bin/tidegate" ] || return 1
    for made in "$@"; do
        [ "$(cat "$venv/.stamp" 2>/dev/null)" != "$(stamp_of "$made")" ] || return 0
    done
    return 1
}

choose_installer() {
    "$python" -c 'import venv' 2>/dev/null || fail "$1"
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        installer=pip
    elif "$python" -m pip --version >/dev/null 2>&1; then
        installer=outer_pip
    elif command -v uv >/dev/null 2>&1; then
        installer=uv
    else
        fail "$1"
    fi
}

make_environment() {
    case $installer in
    pip) "$python" -m venv --clear "$venv" ;;
    *) "$python" -m venv --clear --without-pip "$venv" ;;
    esac
}

install() {
    case $installer in
    pip) "$venv/bin/python" -m pip --disable-pip-version-check install --quiet "$@" ;;
    outer_pip) "$python" -m pip --disable-pip-version-check --python "$venv/bin/python" install --quiet "$@" ;;
    uv) uv pip install --quiet --python "$venv/bin/python" "$@" ;;
    esac
}

python=$(find_python)
exec 9>.venv.lock
if command -v flock >/dev/null 2>&1; then
    flock 9
fi
# shellcheck disable=SC2086 # the lists are words
if stands "$profile" $larger; then
    exit 0
fi
choose_installer "this Python lacks ensurepip, there is no pip and no uv; on Debian: apt-get install -y python3-venv"
echo "Making $venv with $python from requirements/$profile.lock" >&2
# shellcheck disable=SC2086
if ! stands $smaller; then
    make_environment
fi
install --require-hashes --no-deps --only-binary=:all: -r "requirements/$profile.lock" -r requirements/build.lock
install --no-deps --no-build-isolation --editable .
stamp_of "$profile" >"$venv/.stamp"
