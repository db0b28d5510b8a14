#!/bin/sh
# Make .venv with the exact packages of requirements.lock and tensaw itself; `make setup` calls it.
# Does nothing when neither the lock file, pyproject.toml, this script nor the interpreter has changed.
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
stamp=.venv/.setup-stamp
home_file=.venv/.setup-home

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Prints the command prefix that gives root rights without asking, or returns 1.
root_prefix() {
    if [ "$(id -u)" -eq 0 ]; then
        printf 'env'
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        printf 'sudo -n env'
    else
        return 1
    fi
}

# apt_get ARGUMENT...: quiet, without questions, and not for ever where there is no network.
apt_get() {
    $prefix DEBIAN_FRONTEND=noninteractive timeout 180 apt-get -qq -o Acquire::http::Timeout=20 "$@" >/dev/null 2>&1
}

# apt_install PACKAGE...: true if they are installed afterwards; never fatal.
apt_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    prefix=$(root_prefix) || return 1
    say "installing $* with apt-get"
    apt_get install -y "$@" && return 0
    # The package lists of a fresh container are empty.
    apt_get update && apt_get install -y "$@"
}

command -v "$python" >/dev/null 2>&1 ||
    fail "there is no $python on PATH; install Python 3.11 or newer (apt install python3), or set PYTHON=/path/to/python3."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old: Python 3.11 or newer is needed; set PYTHON=/path/to/a/newer/python3."

# Icarus is asked for on each run: it may have been removed, or the rights may have been given, since the last one.
if ! command -v iverilog >/dev/null 2>&1; then
    apt_install iverilog ||
        say "Icarus Verilog is missing and may not be installed from here; everything but '--sim icarus' works without" \
            "it. To have it: apt install iverilog."
fi
command -v g++ >/dev/null 2>&1 || command -v clang++ >/dev/null 2>&1 ||
    say "there is no C++ compiler (apt install g++ make): Verilator cannot build simulators until there is one."

# A virtual environment knows its interpreter and its own folder; it has to be made anew where one of them changes.
home="$("$python" -c 'import sys; print(sys.version.split()[0], sys.base_prefix)') $(pwd)"
key=$({ cat requirements.lock pyproject.toml scripts/setup.sh; printf '%s' "$home"; } | sha256sum | cut -d ' ' -f 1)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key" ] && [ -x .venv/bin/tensaw ]; then
    exit 0
fi

started=$(date +%s)
has_ensurepip() { "$python" -c 'import ensurepip' >/dev/null 2>&1; }
if ! .venv/bin/python -m pip --version >/dev/null 2>&1 ||
    { [ -f "$home_file" ] && [ "$(cat "$home_file")" != "$home" ]; }; then
    # Debian and Ubuntu ship python3 without ensurepip, which puts pip into a virtual environment.
    if has_ensurepip || { apt_install python3-venv && has_ensurepip; }; then
        "$python" -m venv --clear .venv
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --clear --without-pip .venv
        "$python" -m pip --python .venv/bin/python install --quiet pip
    else
        fail "$python can make no virtual environment: its ensurepip is missing, and so is pip; run 'apt install" \
            "python3-venv' (or python3-pip) as root, then repeat."
    fi
fi
rm -f "$stamp"
printf '%s\n' "$home" >"$home_file"

say "installing the packages of requirements.lock into .venv (about two minutes the first time)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .

# The cocotb benches load Python as a shared library, which Debian keeps in a package of its own.
.venv/bin/python -c 'import find_libpython, sys; sys.exit(find_libpython.find_libpython() is None)' 2>/dev/null ||
    apt_install "libpython$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" ||
    say "libpython (Python as a shared library) is missing, so the cocotb benches will be skipped."

printf '%s\n' "$key" >"$stamp"
say "done in $(($(date +%s) - started)) s; the command is .venv/bin/tensaw"
