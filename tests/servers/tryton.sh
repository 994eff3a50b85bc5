#!/bin/bash
# A real Tryton 8.0 (ERP and CRM) with its REST interface, on SQLite, for the tests. Needs python3 with venv, and PyPI once.
# usage: tryton.sh setup|start|stop|env|prove
#   setup  installs and seeds, once; later calls find the cache     start  runs it, after setup when needed
#   env    prints TRYTON_URL and TRYTON_KEY as shell assignments     prove  asks it one question over REST
# FACTOTUM_TEST_CACHE: where everything lives (default: target/test-servers). TRYTON_PORT: default 18069, loopback only.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${FACTOTUM_TEST_CACHE:-$(cd "$HERE/../.." && pwd)/target/test-servers}
PORT=${TRYTON_PORT:-18069}
# A change of what is installed or seeded makes a new folder, so that a stale cache is never used.
STAMP=$(cat "$HERE/tryton/requirements.txt" "$HERE/tryton/seed.py" | sha256sum | cut -c1-12)
HOME_DIR=$CACHE/tryton-$STAMP
VENV=$HOME_DIR/venv
RUN=$HOME_DIR/$PORT                       # one database for each port, so that two can run side by side
export TRYTOND_CONFIG=$RUN/trytond.conf PYTHONWARNINGS=ignore

# The recorded process is ours only while its start time is the recorded one: process ids are used again.
running() {
  [ -s "$RUN/pid" ] || return 1
  local pid started
  read -r pid started <"$RUN/pid"
  [ "$(awk '{print $22}' "/proc/$pid/stat" 2>/dev/null)" = "$started" ]
}

setup() {
  mkdir -p "$RUN"
  exec 9>"$CACHE/tryton.lock"; flock 9    # two test runs may start at the same time
  if [ ! -e "$HOME_DIR/installed" ]; then
    rm -rf "$VENV"
    python3 -m venv "$VENV"
    "$VENV/bin/pip" install --quiet --disable-pip-version-check --no-compile -r "$HERE/tryton/requirements.txt"
    touch "$HOME_DIR/installed"
  fi
  mkdir -p "$RUN/db"
  cat >"$RUN/trytond.conf" <<CONF
[database]
uri = sqlite://
path = $RUN/db
[web]
listen = 127.0.0.1:$PORT
CONF
  if [ ! -e "$HOME_DIR/seeded" ]; then
    rm -rf "$RUN/db" "$HOME_DIR/template"; mkdir -p "$RUN/db"
    touch "$RUN/db/erp.sqlite"
    head -c 18 /dev/urandom | base64 >"$RUN/admin.pw"; chmod 600 "$RUN/admin.pw"
    TRYTONPASSFILE=$RUN/admin.pw "$VENV/bin/trytond-admin" -d erp -u sale_complaint --activate-dependencies \
      --email admin@example.test >"$RUN/setup.log" 2>&1 || { tail -20 "$RUN/setup.log" >&2; exit 1; }
    "$VENV/bin/python" "$HERE/tryton/seed.py" "$RUN/rest.key" >>"$RUN/setup.log" 2>&1 || { tail -20 "$RUN/setup.log" >&2; exit 1; }
    mkdir "$HOME_DIR/template"
    cp "$RUN/db/erp.sqlite" "$RUN/rest.key" "$HOME_DIR/template/"
    touch "$HOME_DIR/seeded"
  elif [ ! -e "$RUN/db/erp.sqlite" ]; then
    cp "$HOME_DIR/template/erp.sqlite" "$RUN/db/"; cp "$HOME_DIR/template/rest.key" "$RUN/"
  fi
  flock -u 9
}

# Whether our own server answers: another program on the port does not know our key.
answers() {
  curl --silent --fail --output /dev/null --max-time 10 -H "Authorization: Bearer $(cat "$RUN/rest.key")" \
    "http://127.0.0.1:$PORT/erp/rest/model/company.company?f=id"
}

start() {
  if running; then echo "tryton already runs on port $PORT" >&2; return 0; fi
  if (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then
    echo "port $PORT is taken by another program; stop it, or set TRYTON_PORT to a free one" >&2; exit 1
  fi
  setup
  setsid "$VENV/bin/trytond" -c "$RUN/trytond.conf" -d erp >>"$RUN/trytond.log" 2>&1 </dev/null 9>&- &
  local pid=$!
  sleep 0.2
  echo "$pid $(awk '{print $22}' "/proc/$pid/stat")" >"$RUN/pid"
  for _ in $(seq 300); do
    running || { echo "trytond ended at once:" >&2; tail -5 "$RUN/trytond.log" >&2; rm -f "$RUN/pid"; exit 1; }
    if answers; then return 0; fi
    sleep 0.2
  done
  echo "trytond does not answer on port $PORT after 60 s; see $RUN/trytond.log" >&2; exit 1
}

stop() {
  if running; then
    local pid started
    read -r pid started <"$RUN/pid"
    kill -INT "$pid" 2>/dev/null || true
    for _ in $(seq 100); do running || break; sleep 0.1; done
    if running; then kill -KILL "$pid" 2>/dev/null || true; fi
  fi
  rm -f "$RUN/pid"
}

case "${1:-}" in
setup) setup ;;
start) start ;;
stop) stop ;;
env)
  [ -s "$RUN/rest.key" ] || { echo "not set up; run: $0 setup" >&2; exit 1; }
  echo "TRYTON_URL=http://127.0.0.1:$PORT/erp"
  echo "TRYTON_KEY=$(cat "$RUN/rest.key")" ;;
prove)
  curl --silent --show-error --fail -H "Authorization: Bearer $(cat "$RUN/rest.key")" \
    "http://127.0.0.1:$PORT/erp/rest/model/sale.complaint.type?f=name" ;;
*) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac
