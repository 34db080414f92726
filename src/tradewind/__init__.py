"""Trading research the way a careful desk runs it.

Airflow orchestrates, MLflow remembers, and a model reaches the trading workers only
after the evidence for it has been checked. Importing this package loads neither.
"""
