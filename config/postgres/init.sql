-- Databases and roles: each database has an owner, which is let into no other, and roles that may do
-- less than the owner; what those may do the owners say themselves (tradewind.stack.rights).
-- Runs at each start: running it again changes nothing but what somebody has changed since, and the
-- passwords it is given.
\set ON_ERROR_STOP on
\getenv airflow_password AIRFLOW_DB_PASSWORD
\getenv mlflow_password MLFLOW_DB_PASSWORD
\getenv tradewind_password TRADEWIND_DB_PASSWORD
\getenv research_password RESEARCH_DB_PASSWORD
\getenv trading_password TRADING_DB_PASSWORD
\getenv airflow_results_password AIRFLOW_RESULTS_DB_PASSWORD
\getenv airflow_dags_password AIRFLOW_DAGS_DB_PASSWORD
\getenv desk_password DESK_DB_PASSWORD

CREATE TEMPORARY TABLE wanted (name text, database text, password text);
INSERT INTO wanted VALUES
  ('airflow', 'airflow', :'airflow_password'),
  ('airflow_dags', 'airflow', :'airflow_dags_password'),
  ('airflow_results', 'airflow', :'airflow_results_password'),
  ('desk', 'tradewind', :'desk_password'),
  ('mlflow', 'mlflow', :'mlflow_password'),
  ('research', 'tradewind', :'research_password'),
  ('tradewind', 'tradewind', :'tradewind_password'),
  ('trading', 'tradewind', :'trading_password');

SELECT format('CREATE ROLE %I', name) FROM wanted
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

SELECT format('ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS '
              'CONNECTION LIMIT -1 PASSWORD %L', name, password) FROM wanted \gexec

-- No role may do what another may, but for tradewind: it backs up the tables that tasks make.
SELECT format('REVOKE %I FROM %I', granted.rolname, name) FROM wanted
JOIN pg_roles member ON member.rolname = name
JOIN pg_auth_members m ON m.member = member.oid
JOIN pg_roles granted ON granted.oid = m.roleid AND (granted.rolname, name) <> ('research', 'tradewind') \gexec
GRANT research TO tradewind;

SELECT format('CREATE DATABASE %I OWNER %I', name, name) FROM wanted
WHERE name = database AND NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec

-- Where a role makes and finds tables, if not in `public`.
ALTER ROLE airflow_results IN DATABASE airflow SET search_path = celery;
ALTER ROLE research IN DATABASE tradewind SET search_path = studies, public;

REVOKE CONNECT, TEMPORARY ON DATABASE airflow, mlflow, tradewind, postgres, template1 FROM PUBLIC;
SELECT format(CASE WHEN w.database = d.database THEN 'GRANT CONNECT ON DATABASE %I TO %I'
              ELSE 'REVOKE CONNECT ON DATABASE %I FROM %I' END, d.database, w.name)
FROM wanted w CROSS JOIN (SELECT DISTINCT database FROM wanted) d \gexec
