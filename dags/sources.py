"""Airflow reads this file to find an ingestion DAG for every file in sources/."""

from tradewind.orchestration.ingest_dags import ingest_dags
from tradewind.settings import load_settings

globals().update(ingest_dags(load_settings().sources_dir))
