"""Airflow: a DAG for every strategy, Celery's settings, and a client of the REST interface.

Modules are imported by name. `tradewind.orchestration.dags` is read again at every start of a
task, so neither it nor this package imports anything that a parse does not need.
"""
