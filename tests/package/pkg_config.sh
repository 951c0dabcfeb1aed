#!/usr/bin/env bash
# Builds consumer/whole.cpp with pkg-config's flags against the installed libsluice.so, runs it, and looks at
# the library itself: its SONAME, and that it shows nothing but Sluice's names.
# usage: pkg_config.sh COMPILER PREFIX LIBDIR VERSION WORKDIR
set -euo pipefail
compiler=$1 prefix=$2 libdir=$3 version=$4 work=$5
export PKG_CONFIG_PATH=$libdir/pkgconfig
fail() { printf 'pkg_config.sh: %s\n' "$*" >&2; exit 1; }

[ "$(pkg-config --modversion sluice)" = "$version" ] || fail "pkg-config knows another version"
# shellcheck disable=SC2046 # flags are words
"$compiler" "$(dirname "$0")/consumer/whole.cpp" $(pkg-config --cflags --libs sluice) \
  -o "$work/whole"
LD_LIBRARY_PATH=$libdir "$work/whole" | grep -qF "sluice $version" || fail "the program does not say its version"

library=$(readlink -f "$libdir/libsluice.so")
soname=$(objdump -p "$library" | awk '$1 == "SONAME" {print $2}')
[ "$soname" = "libsluice.so.${version%.*}" ] || fail "the SONAME is $soname"
# Instances of the standard library's templates are weak and may be anybody's.
foreign=$(nm -D --defined-only "$library" | awk '$2 != "V" && $2 != "W" && $2 != "u" {print $3}' | c++filt |
  grep -vE '^((typeinfo( name)?|vtable|guard variable|non-virtual thunk to|construction vtable) (for |to )?)?sluice(::|_)' || true)
[ -z "$foreign" ] || fail "the library shows names that are not Sluice's: $(head -n 5 <<<"$foreign")"
