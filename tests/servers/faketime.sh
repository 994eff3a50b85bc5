#!/bin/bash
# libfaketime for the tests of a clock that jumps: Debian's own package, unpacked into the cache; nothing runs.
#
# usage: faketime.sh setup|start|stop|env
#   setup, start   fetch it; nothing happens when that is done already
#   stop           does nothing
#   env            prints what the tests read, for: eval "$(faketime.sh env)"
#
# Needs: apt-get and dpkg-deb (Debian or Ubuntu).
# FACTOTUM_TEST_CACHE: where everything is kept; target/test-servers by default.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${FACTOTUM_TEST_CACHE:-$HERE/../../target/test-servers}
mkdir -p "$CACHE/faketime"
CACHE=$(cd "$CACHE/faketime" && pwd)

library() {
  find "$CACHE/unpacked" -name libfaketime.so.1 2>/dev/null | head -n 1
}

setup() {
  if [ -n "$(library)" ]; then return; fi
  rm -rf "$CACHE/debs" "$CACHE/unpacked"
  mkdir -p "$CACHE/debs"
  (cd "$CACHE/debs" && apt-get download -qq libfaketime >/dev/null 2>&1 || true)
  if ! ls "$CACHE"/debs/libfaketime_*.deb >/dev/null 2>&1; then
    echo "faketime.sh: apt offers no libfaketime; run apt-get update first" >&2
    exit 1
  fi
  for deb in "$CACHE"/debs/*.deb; do dpkg-deb -x "$deb" "$CACHE/unpacked"; done
  rm -rf "$CACHE/debs"
}

case "${1:-}" in
setup | start) setup ;;
stop) ;;
env) if [ -n "$(library)" ]; then echo "export FAKETIME_LIBRARY=$(library)"; fi ;;
*) sed -n '2,10p' "$0"; exit 2 ;;
esac
