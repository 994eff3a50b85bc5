#!/bin/bash
# A real IMAP server on loopback for the tests of mail that comes in, without touching the system: Dovecot (Debian's own
# package, unpacked with the libraries it needs into a folder that becomes its root): IMAP with STARTTLS, implicit TLS and
# in the clear on this machine, IDLE, MOVE, UIDPLUS. Mails are put in by IMAP (APPEND), or as files into its maildirs.
#
# usage: imap.sh setup|start|stop|restart|env
#   setup    fetches and prepares; does nothing when that is done already
#   start    setup, then starts it and waits until it answers; does nothing when it runs
#   restart  stops and starts it on the same mails and ports
#   stop     stops what start started, by its recorded process id
#   env      prints what the tests read, for: eval "$(imap.sh env)"; prints nothing when the server does not run
#
# Needs: apt-get and dpkg-deb (Debian or Ubuntu), ldd, python3, openssl. As root Dovecot runs as "nobody"; otherwise user
# namespaces (unshare) are needed, because Dovecot finds its own parts by fixed paths.
# FACTOTUM_TEST_CACHE: where everything is kept; target/test-servers by default.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${FACTOTUM_TEST_CACHE:-$HERE/../../target/test-servers}
. "$HERE/debs.sh"
mkdir -p "$CACHE/imap"
CACHE=$(cd "$CACHE/imap" && pwd)
DOVECOT=2.3.19           # the package of Debian 12; another release's is used, and said, when that is what apt offers
ROOT=$CACHE/root         # Dovecot's root folder
M=/srv/mail              # its mails and files, in there

if [ "$(id -u)" = 0 ]; then
  AS=(chroot --userspec=65534:65534 --groups= "$ROOT")
else
  AS=(unshare --map-root-user chroot "$ROOT")
fi

setup() {
  if [ ! -e "$ROOT/.ready" ]; then
    rm -rf "$ROOT"
    mkdir -p "$ROOT"
    # The server, and those of its libraries that a small system may lack.
    local version packages=(dovecot-imapd dovecot-core libexttextcat-2.0-0 libicu72 libicu74 libicu76 liblua5.4-0 libsodium23 libstemmer0d
      libtirpc3 libtirpc3t64 libunwind8 libwrap0 libapparmor1 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0
      libcom-err2 libkeyutils1 libnsl2 libpam0g libcap2 libbz2-1.0 liblz4-1 libzstd1 libssl3 libssl3t64 libsystemd0)
    version=$(debs "$ROOT" "${packages[@]}")
    [[ $version = *"$DOVECOT"* ]] || echo "imap.sh: Dovecot is not $DOVECOT: $version" >&2
    libraries
    mkdir -p "$ROOT/dev" "$ROOT/etc" "$ROOT/tmp"
    if [ "$(id -u)" = 0 ]; then mknod -m 666 "$ROOT/dev/null" c 1 3 2>/dev/null || touch "$ROOT/dev/null"; else touch "$ROOT/dev/null"; fi
    chmod 666 "$ROOT/dev/null"
    echo 'root:x:0:0::/:/bin/false
nobody:x:65534:65534::/:/bin/false' >"$ROOT/etc/passwd"
    echo 'root:x:0:
nogroup:x:65534:' >"$ROOT/etc/group"
    touch "$ROOT/.ready"
  fi
  if [ ! -e "$CACHE/tls/.ready" ]; then
    rm -rf "$CACHE/tls"
    mkdir -p "$CACHE/tls"
    (
      cd "$CACHE/tls"
      openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -keyout ca-key.pem -out ca.pem -subj "/CN=Factotum test authority" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
      openssl req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost
      printf '%s\n' basicConstraints=critical,CA:FALSE extendedKeyUsage=serverAuth subjectAltName=DNS:localhost,IP:127.0.0.1 >leaf.ext
      openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 3650 -out cert.pem -extfile leaf.ext
    ) >"$CACHE/tls.log" 2>&1
    touch "$CACHE/tls/.ready"
  fi
}

# Copies the libraries that the unpacked programs need and that are not among them from this system.
libraries() {
  local path found
  path=$(find "$ROOT" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
  find "$ROOT/usr/sbin" "$ROOT/usr/bin" "$ROOT/usr/lib/dovecot" -type f -print0 | while IFS= read -r -d '' file; do
    LD_LIBRARY_PATH=$path ldd "$file" 2>/dev/null || true
  done | grep -oE '(/[^ ()]+)' | sort -u | while read -r found; do
    case $found in
    "$ROOT"/*) ;;
    *) [ -e "$ROOT$found" ] || install -D -m 755 "$(realpath "$found")" "$ROOT$found" ;;
    esac
  done
  # A merged /usr, as the system has it: /lib and /lib64 are looked up as well.
  for folder in lib lib64; do
    if [ -L "/$folder" ] && [ -d "$ROOT/$folder" ] && [ ! -L "$ROOT/$folder" ]; then
      mkdir -p "$ROOT/usr/$folder"
      cp -a "$ROOT/$folder/." "$ROOT/usr/$folder/"
      rm -rf "${ROOT:?}/$folder"
    fi
    [ ! -L "/$folder" ] || ln -sfn "usr/$folder" "$ROOT/$folder"
  done
}

write_conf() { # PORT TLS_PORT
  cat <<C
protocols = imap
listen = 127.0.0.1
base_dir = $M/run
state_dir = $M/run
log_path = $M/log
instance_name = factotum-test
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
first_valid_uid = 0
first_valid_gid = 0
ssl = yes
ssl_cert = <$M/cert.pem
ssl_key = <$M/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:$M/boxes/%u
mail_max_userip_connections = 100
passdb {
  driver = passwd-file
  args = username_format=%u $M/users
}
userdb {
  driver = static
  args = uid=$3 gid=$4 home=$M/boxes/%u
}
namespace inbox {
  inbox = yes
  separator = /
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service imap-login {
  chroot =
  inet_listener imap {
    port = $1
  }
  inet_listener imaps {
    port = $2
    ssl = yes
  }
}
service stats {
  chroot =
}
C
}

running() {
  [ -s "$CACHE/imap.pid" ] && kill -0 "$(cat "$CACHE/imap.pid")" 2>/dev/null
}

wait_port() { # PORT
  for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
    sleep 0.1
  done
  echo "imap.sh: Dovecot does not answer on port $1; see $ROOT$M/log and $CACHE/imap.out" >&2
  exit 1
}

run() {
  setsid env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=$M "${AS[@]}" /usr/sbin/dovecot -F -c $M/dovecot.conf </dev/null >"$CACHE/imap.out" 2>&1 &
  echo $! >"$CACHE/imap.pid"
  wait_port "$(cat "$CACHE/ports.plain")"
}

start() {
  if running && [ -s "$CACHE/env" ]; then return; fi
  stop
  setup
  rm -rf "${ROOT:?}$M"
  mkdir -p "$ROOT$M"/{run,boxes}
  cp "$CACHE"/tls/{cert,key,ca}.pem "$ROOT$M/"
  # A user for each test, so that tests do not see one another's mails.
  for name in support sales desk orders flood; do echo "$name@shop.test:{PLAIN}$name-pw"; done >"$ROOT$M/users"
  for number in $(seq 20); do echo "test$number@shop.test:{PLAIN}test-pw"; done >>"$ROOT$M/users"
  local ports uid=0 gid=0
  ports=$(python3 -c 'import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*[s.getsockname()[1] for s in sockets])')
  # shellcheck disable=SC2086
  set -- $ports
  if [ "$(id -u)" = 0 ]; then uid=65534; gid=65534; fi
  write_conf "$1" "$2" $uid $gid >"$ROOT$M/dovecot.conf"
  echo "$1" >"$CACHE/ports.plain"
  [ "$(id -u)" != 0 ] || chown -R 65534:65534 "$ROOT$M"
  run
  wait_port "$2"
  cat >"$CACHE/env" <<V
export IMAP_REAL_URL=imap://support%40shop.test:support-pw@localhost:$1
export IMAP_REAL_TLS_URL=imaps://support%40shop.test:support-pw@localhost:$2
export IMAP_REAL_BOXES=$ROOT$M/boxes
export IMAP_CA_FILE=$CACHE/tls/ca.pem
export IMAP_SERVER=$HERE/imap.sh
V
}

halt() {
  if running; then
    pid=$(cat "$CACHE/imap.pid")
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  fi
  rm -f "$CACHE/imap.pid"
}

stop() {
  halt
  rm -f "$CACHE/env"
}

case "${1:-}" in
setup) setup ;;
start) start ;;
stop) stop ;;
restart) halt; run ;;
env) if running && [ -s "$CACHE/env" ]; then cat "$CACHE/env"; fi ;;
*) sed -n '2,17s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
