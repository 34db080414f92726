"""MLflow's own process. No client imports it."""
