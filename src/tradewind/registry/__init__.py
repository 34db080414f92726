"""MLflow: what a training left behind, which model is the champion, and whether it still holds.

The address of MLflow and its login come from MLflow's own variables: ``MLFLOW_TRACKING_URI``,
``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD``. Modules are imported by name, and
MLflow itself only when a function needs it.
"""
