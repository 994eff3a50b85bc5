#!/bin/bash
# Two real SMTP servers on loopback for the mail tests, without touching the system:
#   Exim (Debian's own package, unpacked into the cache): STARTTLS and implicit TLS, AUTH PLAIN/LOGIN, relay control,
#     greylisting and refusals by policy, delivery into maildir folders that the tests read back.
#   aiosmtpd: fault injection (any reply code, slow replies, dropped connections); see smtp_faults.py.
#
# usage: smtp.sh setup|start|stop|env
#   setup  fetches and prepares; does nothing when that is done already
#   start  setup, then starts both and waits until they answer; does nothing when they run
#   stop   stops what start started, by its recorded process id
#   env    prints what the tests read, for: eval "$(smtp.sh env)"; prints nothing when the servers do not run
#
# Needs: apt-get and dpkg-deb (Debian or Ubuntu), python3 with venv, openssl. Root or not; as root, Exim runs as "nobody".
# FACTOTUM_TEST_CACHE: where everything is kept; target/test-servers by default.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${FACTOTUM_TEST_CACHE:-$HERE/../../target/test-servers}
. "$HERE/debs.sh"
mkdir -p "$CACHE/smtp"
CACHE=$(cd "$CACHE/smtp" && pwd)
AIOSMTPD=1.4.6
EXIM=4.96                # the packages of Debian 12; another release's is used, and said, when that is what apt offers
STATE=$CACHE/state

AS=()
if [ "$(id -u)" = 0 ]; then
  AS=(setpriv --reuid=65534 --regid=65534 --clear-groups --)
  # A cache below a private home cannot be read by "nobody": what the servers touch then lives beside it.
  if ! "${AS[@]}" test -x "$CACHE"; then STATE=${TMPDIR:-/tmp}/factotum-test-smtp; fi
fi

setup() {
  if [ ! -e "$CACHE/venv/.ready-$AIOSMTPD" ]; then
    rm -rf "$CACHE/venv"
    python3 -m venv "$CACHE/venv"
    "$CACHE/venv/bin/pip" install -q --disable-pip-version-check "aiosmtpd==$AIOSMTPD"
    touch "$CACHE/venv/.ready-$AIOSMTPD"
  fi
  if [ ! -e "$CACHE/exim/.ready" ]; then
    rm -rf "$CACHE/exim"
    mkdir -p "$CACHE/exim"
    # The daemon, and those of its libraries that a small system may lack.
    local version packages=(exim4-daemon-light libidn12 libgnutls-dane0 libunbound9 libunbound8 libevent-2.1-7 libevent-2.1-7t64 libnsl2 libpcre2-8-0 libdb5.3 libdb5.3t64
      # Exim looks its own user up by a name that this system need not have; the wrapper answers.
      libnss-wrapper)
    version=$(debs "$CACHE/exim" "${packages[@]}")
    [[ $version = *"_$EXIM"* ]] || echo "smtp.sh: Exim is not $EXIM: $version" >&2
    touch "$CACHE/exim/.ready"
  fi
  if [ ! -e "$CACHE/tls/.ready" ]; then
    rm -rf "$CACHE/tls"
    mkdir -p "$CACHE/tls"
    (
      cd "$CACHE/tls"
      openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -keyout ca-key.pem -out ca.pem -subj "/CN=Factotum test authority" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
      openssl req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost
      printf '%s\n' basicConstraints=critical,CA:FALSE subjectAltName=DNS:localhost,IP:127.0.0.1 >leaf.ext
      openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 3650 -out cert.pem -extfile leaf.ext
    ) >"$CACHE/tls.log" 2>&1
    touch "$CACHE/tls/.ready"
  fi
}

write_exim_conf() { # PORT TLS_PORT
  cat <<C
primary_hostname = mail.desk.test
domainlist local_domains = desk.test : shop.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = $1 : $2
tls_on_connect_ports = $2
tls_advertise_hosts = *
tls_certificate = $STATE/cert.pem
tls_privatekey = $STATE/key.pem
auth_advertise_hosts = \${if eq{\$tls_in_cipher}{}{}{*}}
spool_directory = $STATE/spool
log_file_path = $STATE/log/exim-%slog
pid_file_path = $STATE/exim.pid
exim_user = Debian-exim
exim_group = Debian-exim
deliver_drop_privilege = true
never_users =
host_lookup =
rfc1413_hosts =
keep_environment = LD_PRELOAD : LD_LIBRARY_PATH : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
add_environment = PATH=/usr/bin:/bin
message_size_limit = 26214400
smtp_accept_max = 100
smtp_accept_queue_per_connection = 0
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
begin acl
acl_rcpt:
  deny message = rejected by policy
       local_parts = reject-me
  defer message = greylisted, try again later
       local_parts = greylist-me
  accept authenticated = *
         domains = ! +local_domains
  require message = relay not permitted
          domains = +local_domains
  require message = unknown user
          verify = recipient
  accept
acl_data:
  accept
begin routers
boxes:
  driver = accept
  domains = +local_domains
  local_parts = jane : wang : desk : cc
  transport = maildir
outside:
  driver = accept
  domains = ! +local_domains
  transport = outside
begin transports
maildir:
  driver = appendfile
  maildir_format = true
  directory = $STATE/boxes/\$local_part_data
  create_directory = true
  delivery_date_add
  envelope_to_add
  return_path_add
  user = Debian-exim
  group = Debian-exim
outside:
  driver = appendfile
  maildir_format = true
  directory = $STATE/boxes/outside
  create_directory = true
  envelope_to_add
  user = Debian-exim
  group = Debian-exim
begin retry
* * F,1h,15s
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = \${if and{{eq{\$auth2}{desk}}{eq{\$auth3}{desk-pw}}}}
  server_set_id = \$auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = \${if and{{eq{\$auth1}{desk}}{eq{\$auth2}{desk-pw}}}}
  server_set_id = \$auth1
C
}

running() { # NAME
  [ -s "$STATE/$1.pid" ] && kill -0 "$(cat "$STATE/$1.pid")" 2>/dev/null
}

wait_port() { # PORT NAME
  for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
    sleep 0.1
  done
  echo "smtp.sh: $2 does not answer on port $1; see $STATE/log" >&2
  exit 1
}

start() {
  if running exim && running faults && [ -s "$STATE/env" ]; then return; fi
  stop
  setup
  rm -rf "$STATE"
  mkdir -p "$STATE"/{log,spool,boxes,bin}
  cp "$CACHE"/tls/{cert,key,ca}.pem "$STATE/"
  cp "$CACHE/exim/usr/sbin/exim4" "$STATE/bin/exim"
  chmod 755 "$STATE/bin/exim"            # without the setuid bit
  chmod 644 "$STATE/key.pem"
  local ports
  ports=$(python3 -c 'import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
print(*[s.getsockname()[1] for s in sockets])')
  # shellcheck disable=SC2086
  set -- $ports
  write_exim_conf "$1" "$2" >"$STATE/exim.conf"
  if [ "$(id -u)" = 0 ]; then chown -R 65534:65534 "$STATE"; chown root:root "$STATE/exim.conf" "$STATE/bin/exim"; fi
  chmod 644 "$STATE/exim.conf"
  local libraries
  libraries=$(find "$CACHE/exim" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
  cp -r "$CACHE/exim/usr/lib" "$STATE/lib" 2>/dev/null || true
  libraries=${libraries//$CACHE\/exim\/usr\/lib/$STATE\/lib}
  local uid gid
  uid=$("${AS[@]}" id -u)
  gid=$("${AS[@]}" id -g)
  echo "Debian-exim:x:$uid:$gid::$STATE:/bin/false" >"$STATE/passwd"
  echo "Debian-exim:x:$gid:" >"$STATE/group"
  chmod 644 "$STATE/passwd" "$STATE/group"
  setsid "${AS[@]}" env -i PATH=/usr/bin:/bin LD_LIBRARY_PATH="$libraries" LD_PRELOAD=libnss_wrapper.so \
    NSS_WRAPPER_PASSWD="$STATE/passwd" NSS_WRAPPER_GROUP="$STATE/group" "$STATE/bin/exim" -C "$STATE/exim.conf" -bdf -q1m \
    </dev/null >"$STATE/log/exim.out" 2>&1 &
  echo $! >"$STATE/exim.pid.started"
  setsid "$CACHE/venv/bin/python" "$HERE/smtp_faults.py" "$3" "$4" "$STATE/cert.pem" "$STATE/key.pem" \
    </dev/null >"$STATE/log/faults.out" 2>&1 &
  echo $! >"$STATE/faults.pid"
  wait_port "$1" exim
  wait_port "$2" exim
  wait_port "$3" aiosmtpd
  wait_port "$4" aiosmtpd
  [ -s "$STATE/exim.pid" ] || mv "$STATE/exim.pid.started" "$STATE/exim.pid"
  cat >"$STATE/env" <<V
export SMTP_REAL_URL=smtp://desk:desk-pw@localhost:$1
export SMTP_REAL_TLS_URL=smtps://desk:desk-pw@localhost:$2
export SMTP_REAL_BOXES=$STATE/boxes
export SMTP_FAULTS_URL=smtp://out:out-pw@localhost:$3
export SMTP_PLAIN_URL=smtp://localhost:$4
export SMTP_CA_FILE=$STATE/ca.pem
V
}

stop() {
  for name in exim faults; do
    if running "$name"; then
      pid=$(cat "$STATE/$name.pid")
      kill "$pid" 2>/dev/null || true
      for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    fi
    rm -f "$STATE/$name.pid"
  done
  rm -f "$STATE/env"
}

case "${1:-}" in
setup) setup ;;
start) start ;;
stop) stop ;;
env) if running exim && running faults && [ -s "$STATE/env" ]; then cat "$STATE/env"; fi ;;
*) sed -n '2,17s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
