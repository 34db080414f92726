#!/bin/bash
# Databases and roles. The image runs this on the first start of an empty volume, without words and as
# a part of its own script; the service `postgres-roles` runs it at each start, with the word `again` and
# over the network: an older volume lacks some roles, and `.env` may have set another password.
(
  set -eu
  for role in airflow airflow_dags airflow_results desk mlflow research tradewind trading; do
    export "${role^^}_DB_PASSWORD=$(cat "/run/secrets/postgres/$role")"
  done
  if [ "${1:-}" = again ]; then
    PGHOST=postgres PGPASSWORD=$(cat /run/secrets/postgres/superuser)
    export PGHOST PGPASSWORD
  fi
  psql -X -q -U postgres -d postgres -f /etc/tradewind/postgres/init.sql
)
