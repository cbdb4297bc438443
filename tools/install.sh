#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# install.sh [plumed|tests] - Debian packages and the Python environment .venv, as far as they are missing.
#
# shellcheck disable=SC2086,SC2046  # the lists are split into words on purpose
#
# Debian packages need root or sudo without a password; without either the missing ones are named and nothing is done.
set -eu
cd "$(dirname "$0")/.."

packages="gcc libc6-dev cmake ninja-build pkg-config zlib1g-dev libjansson-dev libzip-dev libmd-dev libuv1-dev
          libmicrohttpd-dev check cp2k-data python3 python3-venv ca-certificates"
requirements=clients/demo/requirements.txt
alone=
case ${1:-} in
plumed) alone=clients/plumed/requirements.txt ;;
tests)
    packages="$packages chromium" # looks at the page of a server
    requirements="$requirements tests/e2e/requirements.txt"
    alone=clients/plumed/requirements.txt
    ;;
esac

have() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

if ! command -v dpkg-query >/dev/null; then
    echo "This is not Debian: please see to it that what these packages hold is there:" $packages >&2
else
    missing=
    for p in $packages; do
        have "$p" || missing="$missing $p"
    done
    if [ -n "$missing" ]; then
        if [ "$(id -u)" = 0 ]; then
            sudo=
        elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            sudo=sudo
        else
            echo "Debian packages are missing, and only root can install them. Please run, or ask for:" >&2
            echo "    sudo apt-get install$missing" >&2
            exit 1
        fi
        echo "Installing$missing"
        log=$(mktemp)
        if ! { $sudo apt-get update && $sudo env DEBIAN_FRONTEND=noninteractive \
               apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
            cat "$log" >&2
            rm -f "$log"
            exit 1
        fi
        rm -f "$log"
    fi
fi

# What pip was asked for is kept beside what it installed.
install() { # PIP-OPTIONS REQUIREMENT...
    options=$1
    shift
    for line in "$@"; do
        if ! grep -qxF -- "$line" .venv/installed.txt 2>/dev/null; then
            echo "Installing into .venv:" "$@"
            .venv/bin/python -m pip install --quiet --disable-pip-version-check $options "$@"
            printf '%s\n' "$@" >>.venv/installed.txt
            break
        fi
    done
}

[ -x .venv/bin/python ] || python3 -m venv .venv
install "" $(cat $requirements)
# hillclimber holds a whole PLUMED; what else it asks for is for its own Python side, which is not used here.
[ -z "$alone" ] || install --no-deps $(cat $alone)
