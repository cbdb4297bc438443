#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# installed.sh BUILD - installs a build into a temporary place and makes a program there with nothing but pkg-config.
set -eu
build=$1
source=$(cd "$(dirname "$0")" && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cmake --install "$build" --prefix "$place" >"$place/install.log"
pc=$(find "$place" -name nearfar.pc)
sed -i "s|^prefix=.*|prefix=$place|" "$pc"
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
libdir=$(pkg-config --variable=libdir nearfar)
# shellcheck disable=SC2046  # the words of pkg-config are words
${CC:-cc} -std=c99 -Wall -Wextra -Werror "$source/consumer.c" $(pkg-config --cflags --libs nearfar) -o "$place/consumer"
LD_LIBRARY_PATH="$libdir" "$place/consumer"
"$place/bin/nearfar" --version
