"""Airflow without a database: it reads its home when it is first imported."""

import os
import tempfile

# At import, not in a fixture: test modules import Airflow while pytest collects them.
_home = tempfile.TemporaryDirectory(prefix="tradewind-airflow-")
os.environ["AIRFLOW_HOME"] = _home.name
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "false"
