-- Databases and roles, each role the owner of its own database and let into no other.
-- Runs at each start, in containers at the first one: running it again changes nothing but what somebody
-- has changed since, and the passwords it is given.
\set ON_ERROR_STOP on
\getenv airflow_password AIRFLOW_DB_PASSWORD
\getenv mlflow_password MLFLOW_DB_PASSWORD
\getenv tradewind_password TRADEWIND_DB_PASSWORD

SELECT format('CREATE ROLE %I', name) FROM (VALUES ('airflow'), ('mlflow'), ('tradewind')) r (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE airflow LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT -1 PASSWORD :'airflow_password';
ALTER ROLE mlflow LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT -1 PASSWORD :'mlflow_password';
ALTER ROLE tradewind LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT -1 PASSWORD :'tradewind_password';

SELECT format('CREATE DATABASE %I OWNER %I', name, name) FROM (VALUES ('airflow'), ('mlflow'), ('tradewind')) d (name)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec

REVOKE CONNECT ON DATABASE airflow FROM mlflow, tradewind;
REVOKE CONNECT ON DATABASE mlflow FROM airflow, tradewind;
REVOKE CONNECT ON DATABASE tradewind FROM airflow, mlflow;
REVOKE CONNECT, TEMPORARY ON DATABASE airflow, mlflow, tradewind, postgres, template1 FROM PUBLIC;
