"""From validated bars to out-of-sample evidence: features, labels, folds, backtest.

Modules are imported by name; `tradewind.research.strategy.strategy` costs no more than pydantic and
a YAML reader, so that Airflow's DAG files can afford it.
"""
