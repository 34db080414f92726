#!/bin/bash
# Databases and roles. The image runs this on the first start of an empty volume, without words and as
# a part of its own script; with the word `rights` the service `postgres-rights` runs it at each start,
# over the network: databases and roles as above, and then what the roles may do.
(
  set -eu
  for role in airflow airflow_dags airflow_results mlflow research tradewind trading; do
    export "${role^^}_DB_PASSWORD=$(cat "/run/secrets/postgres/$role")"
  done
  scripts=(-f /etc/tradewind/postgres/init.sql)
  if [ "${1:-}" = rights ]; then
    PGHOST=postgres PGPASSWORD=$(cat /run/secrets/postgres/superuser)
    export PGHOST PGPASSWORD
    scripts+=(-f /etc/tradewind/postgres/rights.sql)
  fi
  psql -X -q -U postgres -d postgres "${scripts[@]}"
)
