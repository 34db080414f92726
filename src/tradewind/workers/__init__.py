"""What a Celery worker of either application does before and beside its tasks."""
