"""From files to DAGs. What is here is read by each task that starts, so it imports little."""
