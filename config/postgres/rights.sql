-- What roles may do that own no database. Runs at each start, after all migrations: running it again
-- changes nothing but what somebody has changed since.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

\connect tradewind
SET client_min_messages = warning;
BEGIN; -- who is at work meanwhile loses no right for a moment

-- Studies of sweeps are the tasks' own, who make their tables, so they have a schema of their own:
-- who could make a table or a function in `public` could trap those who are asked for one there.
CREATE SCHEMA IF NOT EXISTS studies;
ALTER SCHEMA studies OWNER TO research;
REVOKE CREATE ON SCHEMA public FROM PUBLIC, research, trading;
GRANT USAGE ON SCHEMA public TO research, trading;
GRANT USAGE, CREATE ON SCHEMA public TO tradewind;
ALTER ROLE research IN DATABASE tradewind SET search_path = studies, public;
-- Those of an earlier version are in `public`.
SELECT format('ALTER %s public.%I SET SCHEMA studies', kind, name)
FROM (SELECT 'TABLE' AS kind, tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename IN (
        'alembic_version', 'studies', 'study_directions', 'study_system_attributes',
        'study_user_attributes', 'trial_heartbeats', 'trial_intermediate_values', 'trial_params',
        'trial_system_attributes', 'trial_user_attributes', 'trial_values', 'trials', 'version_info')
      UNION ALL SELECT 'TYPE', typname FROM pg_type
      WHERE typnamespace = 'public'::regnamespace AND typtype = 'e') moved \gexec
SELECT format('ALTER %s studies.%I OWNER TO research', kind, name)
FROM (SELECT 'TABLE' AS kind, tablename AS name, tableowner AS owner FROM pg_tables WHERE schemaname = 'studies'
      UNION ALL SELECT 'TYPE', typname, pg_get_userbyid(typowner) FROM pg_type
      WHERE typnamespace = 'studies'::regnamespace AND typtype = 'e') given
WHERE owner <> 'research' \gexec

-- Evidence is added, never changed: by tasks the ledger of trials, and signals with their inputs.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM research, trading;
GRANT SELECT, INSERT ON trial_ledger, signals, signal_inputs TO research;
GRANT SELECT ON signals, signal_inputs TO trading;

-- The trading workers add to the book, in which nothing is ever changed.
REVOKE ALL ON ALL TABLES IN SCHEMA trading, paper FROM research, trading;
GRANT USAGE ON SCHEMA trading, paper TO trading;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA trading, paper TO trading;
REVOKE INSERT ON trading.alembic_version FROM trading;

-- Tasks read it. They open accounts on the terms of a champion, say what was quoted and when an
-- exchange opens; and a task that finds that a model has seen the future halts its account. They send
-- no order, book no trade, and take no halt off.
GRANT USAGE ON SCHEMA trading TO research;
GRANT SELECT ON ALL TABLES IN SCHEMA trading TO research;
GRANT INSERT ON trading.accounts, trading.quotes, trading.openings, trading.bookings, trading.equity,
  trading.halts, trading.events TO research;

SELECT format('ALTER TABLE trading.%I ENABLE ROW LEVEL SECURITY', relname) FROM pg_class
WHERE relnamespace = 'trading'::regnamespace AND relname IN ('bookings', 'equity', 'events', 'halts')
AND NOT relrowsecurity \gexec
CREATE TEMPORARY TABLE wanted (relation text, name text, statement text);
INSERT INTO wanted
SELECT relation, 'trading_adds', 'TO trading USING (true) WITH CHECK (true)'
FROM unnest(ARRAY['bookings', 'equity', 'events', 'halts']) relation
UNION ALL SELECT relation, 'research_reads', 'FOR SELECT TO research USING (true)'
FROM unnest(ARRAY['bookings', 'equity', 'events', 'halts']) relation
UNION ALL VALUES
  ('bookings', 'research_opens', $$FOR INSERT TO research WITH CHECK (kind = 'capital' AND NOT EXISTS (
     SELECT FROM trading.equity e WHERE e.account = bookings.account))$$),
  ('equity', 'research_opens', $$FOR INSERT TO research WITH CHECK (positions = 0 AND EXISTS (
     SELECT FROM trading.bookings b WHERE b.account = equity.account AND b.session = equity.session
     AND b.kind = 'capital' AND b.amount = equity.cash))$$),
  ('halts', 'research_halts', 'FOR INSERT TO research WITH CHECK (halted)'),
  ('events', 'research_halts', $$FOR INSERT TO research WITH CHECK (kind = 'halt')$$);
-- Taken off only if they are others: that waits for all who use the table.
SELECT format('DROP POLICY %I ON trading.%I', policyname, tablename) FROM pg_policies
WHERE schemaname = 'trading'
AND NOT EXISTS (SELECT FROM wanted w WHERE w.relation = tablename AND w.name = policyname) \gexec
SELECT format('CREATE POLICY %I ON trading.%I %s', name, relation, statement) FROM wanted
WHERE NOT EXISTS (SELECT FROM pg_policies WHERE schemaname = 'trading' AND tablename = relation
                  AND policyname = name) \gexec
COMMIT;

\connect airflow
SET client_min_messages = warning;
BEGIN;

-- How tasks of Celery ended: two tables in a schema of their own, all that a worker sees here.
CREATE SCHEMA IF NOT EXISTS celery;
ALTER SCHEMA celery OWNER TO airflow_results;
ALTER ROLE airflow_results IN DATABASE airflow SET search_path = celery;
-- Airflow's owner counts them, and throws old ones away.
GRANT USAGE ON SCHEMA celery TO airflow;
ALTER DEFAULT PRIVILEGES FOR ROLE airflow_results IN SCHEMA celery GRANT SELECT, DELETE ON TABLES TO airflow;
GRANT SELECT, DELETE ON ALL TABLES IN SCHEMA celery TO airflow;
-- Those of an earlier version.
SELECT format('ALTER %s public.%I SET SCHEMA celery', kind, relname)
FROM (SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, relname FROM pg_class
      WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')
      AND relname IN ('celery_taskmeta', 'celery_tasksetmeta', 'task_id_sequence', 'taskset_id_sequence')) moved
WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = 'celery'::regnamespace AND c.relname = moved.relname)
\gexec
SELECT format('ALTER %s celery.%I OWNER TO airflow_results', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
              relname)
FROM pg_class WHERE relnamespace = 'celery'::regnamespace AND relkind IN ('r', 'S')
AND pg_get_userbyid(relowner) <> 'airflow_results' \gexec

-- The DAG processor runs what authors of DAG files write. It writes what it has read in them, and reads
-- the rest, but neither users nor their sessions; it begins no run, and changes no connection, variable,
-- permission or result.
REVOKE CREATE, USAGE ON SCHEMA public FROM PUBLIC, airflow_results, airflow_dags;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM airflow_results, airflow_dags;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM airflow_results, airflow_dags;
GRANT USAGE, CREATE ON SCHEMA public TO airflow;
GRANT USAGE ON SCHEMA public TO airflow_dags;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO airflow_dags;
SELECT format('GRANT %s ON %I TO airflow_dags', CASE
  WHEN tablename IN (
    'asset', 'asset_active', 'asset_alias', 'asset_alias_asset', 'asset_trigger', 'asset_watcher',
    'callback', 'callback_request', 'dag', 'dag_bundle', 'dag_code', 'dag_owner_attributes',
    'dag_priority_parsing_request', 'dag_schedule_asset_alias_reference',
    'dag_schedule_asset_name_reference', 'dag_schedule_asset_reference',
    'dag_schedule_asset_uri_reference', 'dag_tag', 'dag_version', 'dag_warning', 'deadline_alert',
    'import_error', 'job', 'serialized_dag', 'task_inlet_asset_reference',
    'task_outlet_asset_reference', 'trigger')
    THEN 'SELECT, INSERT, UPDATE, DELETE'
  -- Each DAG is a resource that roles can be let to, as its file or a person says.
  WHEN tablename = 'ab_permission_view_role' THEN 'SELECT, INSERT, DELETE'
  WHEN tablename IN ('ab_permission_view', 'ab_view_menu', 'log') THEN 'SELECT, INSERT'
  ELSE 'SELECT' END, tablename)
FROM pg_tables WHERE schemaname = 'public'
AND tablename NOT IN ('ab_register_user', 'ab_user', 'session') \gexec
-- What roles may do with anything else is not for a DAG file to say.
SELECT 'ALTER TABLE ab_permission_view_role ENABLE ROW LEVEL SECURITY' FROM pg_class
WHERE oid = to_regclass('ab_permission_view_role') AND NOT relrowsecurity \gexec
SELECT format('CREATE POLICY dags ON ab_permission_view_role TO airflow_dags USING (%1$s) WITH CHECK (%1$s)',
  'EXISTS (SELECT FROM ab_permission_view p JOIN ab_view_menu v ON v.id = p.view_menu_id '
  'WHERE p.id = permission_view_id AND v.name ~ ''^DAG( Run)?:'')')
WHERE to_regclass('ab_permission_view_role') IS NOT NULL AND NOT EXISTS (
  SELECT FROM pg_policies WHERE tablename = 'ab_permission_view_role' AND policyname = 'dags') \gexec
COMMIT;
