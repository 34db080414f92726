"""Airflow reads this file to find the DAGs of every file in strategies/."""

from tradewind.orchestration.strategy_dags import strategy_dags
from tradewind.settings import load_settings

globals().update(strategy_dags(load_settings().strategies_dir))
