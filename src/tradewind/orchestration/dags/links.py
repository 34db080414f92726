"""A link from a task on Airflow's page to its run on MLflow's."""

from typing import Any

import attrs
from airflow.sdk import BaseOperatorLink
from airflow.sdk.bases.xcom import BaseXCom

__all__ = ["MlflowRunLink"]


@attrs.define()
class MlflowRunLink(BaseOperatorLink):
    """A button with the address that the task returned as ``url``."""

    @property
    def name(self) -> str:
        """The text of the button."""
        return "MLflow run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ANN401, ARG002 - Airflow's
        """Return the address of the run; empty before there is one."""
        returned = BaseXCom.get_value(ti_key=ti_key, key="return_value")
        return str(returned["url"]) if isinstance(returned, dict) and "url" in returned else ""
