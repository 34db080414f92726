"""What Airflow's services run of ours: the executor, its bell, and what looks after tasks."""
