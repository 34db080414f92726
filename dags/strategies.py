"""Airflow reads this file to find a training DAG for every file in strategies/."""

from tradewind.orchestration.dags import training_dags
from tradewind.settings import load_settings

globals().update(training_dags(load_settings().strategies_dir))
