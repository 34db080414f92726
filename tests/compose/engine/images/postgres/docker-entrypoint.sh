#!/usr/bin/env bash
# The official image's start contract: settings by value or by file, leave root, and on a first
# start make the database and run /docker-entrypoint-initdb.d behind a closed network.
set -euo pipefail

# setting NAME DEFAULT: exports NAME from itself, from the file NAME_FILE, or the default.
setting() {
  local file_name=$1_FILE
  local value=${!1-} file=${!file_name-}
  if [ -n "$file" ]; then
    [ -z "$value" ] || { echo "$1 and $file_name are both set" >&2; exit 1; }
    value=$(<"$file")
    unset "$file_name"
  fi
  export "$1=${value:-$2}"
}

sql() { psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" "$@"; }

# As in the official image, scripts may call this, and one that is not executable is sourced.
run_init_scripts() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh)
        echo "running $file"
        # shellcheck disable=SC1090
        if [ -x "$file" ]; then "$file"; else . "$file"; fi
        ;;
      *.sql) echo "running $file"; sql --dbname "$POSTGRES_DB" -f "$file" ;;
      *.sql.gz) echo "running $file"; gunzip -c "$file" | sql --dbname "$POSTGRES_DB" ;;
      *) echo "ignoring $file" ;;
    esac
  done
}

first_start() {
  local method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$method" != trust ]; then
    echo "POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE must be set on the first start" >&2
    exit 1
  fi
  # shellcheck disable=SC2086  # several arguments in one variable, by contract
  initdb --username "$POSTGRES_USER" --pwfile <(printf '%s\n' "$POSTGRES_PASSWORD") \
    $POSTGRES_INITDB_ARGS
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"

  export PGPASSWORD=$POSTGRES_PASSWORD
  # Only the socket: nobody outside may take a half-made database for a ready one.
  pg_ctl --wait -o "$(printf '%q ' "${@:2}" -c listen_addresses=)" start
  if [ "$POSTGRES_DB" != postgres ]; then
    sql --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
  fi
  run_init_scripts
  pg_ctl --wait -m fast stop
  unset PGPASSWORD
}

case ${1-} in -*) set -- postgres "$@" ;; esac
if [ "${1-}" = postgres ]; then
  setting POSTGRES_PASSWORD ""
  setting POSTGRES_USER postgres
  setting POSTGRES_DB "$POSTGRES_USER"
  setting POSTGRES_INITDB_ARGS ""
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA" || true   # fails for `--user`, where the folder must be right already
  chmod 3775 /var/run/postgresql || true
  if [ "$(id -u)" = 0 ]; then
    find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres {} +
    HOME=/var/lib/postgresql exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
  fi
  [ -s "$PGDATA/PG_VERSION" ] || first_start "$@"
fi
exec "$@"
