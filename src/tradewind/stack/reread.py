"""What Airflow reads of its environment while it is imported, read once more.

A fork server imports Airflow without any secret in its environment. A program that is forked of it
has an environment of its own, in which its own database is named.
"""

import os
import sys
from typing import Final

from tradewind.foreign import ForeignNames

__all__ = ["FOREIGN", "NO_DATABASE", "read_again"]

FOREIGN: Final = (
    ForeignNames(
        "apache-airflow",
        (
            "airflow.configuration:AirflowConfigParser.mask_secrets",
            "airflow.settings:conf",
            "airflow.settings:configure_orm",
            "airflow.settings:configure_vars",
            "airflow.settings:dispose_orm",
        ),
        "import Airflow once for all of its services, without the secrets of any",
        "no service of Airflow starts",
    ),
)

_DATABASE: Final = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
NO_DATABASE: Final = "sqlite://"
"""What is said to be Airflow's database to who has none: an empty one in its own memory."""


def read_again() -> None:
    """Have Airflow, if it is imported and this is a program of it, open its database."""
    settings = sys.modules.get("airflow.settings")
    if settings is not None and _DATABASE in os.environ:
        settings.dispose_orm(do_log=False)
        settings.configure_vars()
        settings.configure_orm()
        settings.conf.mask_secrets()  # in logs
