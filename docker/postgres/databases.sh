#!/bin/bash
# Databases, roles and grants. The image runs this on the first start of an empty volume; to run it
# again (after a change of passwords): docker compose exec postgres bash /docker-entrypoint-initdb.d/databases.sh
(
  set -eu
  AIRFLOW_DB_PASSWORD=$(cat /run/secrets/postgres/airflow)
  MLFLOW_DB_PASSWORD=$(cat /run/secrets/postgres/mlflow)
  TRADEWIND_DB_PASSWORD=$(cat /run/secrets/postgres/tradewind)
  export AIRFLOW_DB_PASSWORD MLFLOW_DB_PASSWORD TRADEWIND_DB_PASSWORD
  psql -X -q -U postgres -d postgres -f /etc/tradewind/postgres/init.sql
)
