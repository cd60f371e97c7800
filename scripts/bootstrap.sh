#!/bin/sh
# Makes .venv from the hashed lock files: scripts/bootstrap.sh run | dev
#
# What it does: finds a Python, makes the environment, installs one lock, puts the checkout itself into it.
# What it does not do: install system packages; where one is missing it says which, and exits 2.
#
# Rules:
# 1. Only wheels whose sha256 stands in the lock are installed.
# 2. A stamp holds the sum of all that decides the environment: a run that would change nothing does nothing.
# 3. The stamp is written last, so that a run that was killed is done again.
# 4. An environment that serves the tests (dev) serves the demo (run) too, and is not taken back. The other way
#    it is added to, for dev.lock holds every line of run.lock (a test says so); all else is made anew.
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
run | dev) ;;
*) fail "unknown profile '$profile': say run or dev" ;;
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

stands() { # whether the environment was made for this profile, and nothing it is made from has changed since
    [ -x "$venv/bin/tidegate" ] && [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$(stamp_of "$1")" ]
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
if stands "$profile" || { [ "$profile" = run ] && stands dev; }; then
    exit 0
fi
choose_installer "this Python lacks ensurepip, there is no pip and no uv; on Debian: apt-get install -y python3-venv"
echo "Making $venv with $python from requirements/$profile.lock" >&2
if ! { [ "$profile" = dev ] && stands run; }; then
    make_environment
fi
install --require-hashes --only-binary=:all: -r "requirements/$profile.lock" -r requirements/build.lock
install --no-deps --no-build-isolation --editable .
stamp_of "$profile" >"$venv/.stamp"
