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
. "$HERE/debs.sh"
mkdir -p "$CACHE/faketime"
CACHE=$(cd "$CACHE/faketime" && pwd)

library() {
  find "$CACHE/unpacked" -name libfaketime.so.1 2>/dev/null | head -n 1
}

setup() {
  if [ -n "$(library)" ]; then return; fi
  rm -rf "$CACHE/unpacked"
  debs "$CACHE/unpacked" libfaketime >/dev/null
}

case "${1:-}" in
setup | start) setup ;;
stop) ;;
env) if [ -n "$(library)" ]; then echo "export FAKETIME_LIBRARY=$(library)"; fi ;;
*) sed -n '2,10p' "$0"; exit 2 ;;
esac
