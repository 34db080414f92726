"""The trading application: a Celery app of its own beside Airflow's, on the same Redis.

It imports neither Airflow nor MLflow.
"""
