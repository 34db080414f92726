"""The whole system as processes of one machine: PostgreSQL, Redis, Airflow and MLflow.

Knows nothing of markets, research or trading: it starts, watches, checks and stops services.
"""
