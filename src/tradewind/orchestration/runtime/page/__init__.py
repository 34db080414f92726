"""The desk's page in Airflow: its routes, who may use them, and what tells open pages of news."""
