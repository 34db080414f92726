"""What MLflow's server is asked for by housekeeping: to erase deleted runs, and its sizes."""

import os
from typing import Any, Final

from tradewind.errors import RegistryError
from tradewind.registry import _names as names
from tradewind.registry._client import connect, mlflow_errors, tracking_uri

__all__ = ["empty_bin", "runs_in_use", "sizes"]

_TIMEOUT: Final = 300.0  # seconds; a request erases some dozens of runs, or looks at every file


def empty_bin(*, dry_run: bool = False) -> dict[str, int]:
    """Have MLflow's server erase what was deleted long ago, as its settings say.

    Parameters
    ----------
    dry_run : bool
        Whether it is only counted.

    Returns
    -------
    dict of str to int
        ``runs``, ``files`` and ``bytes``.

    Raises
    ------
    RegistryError
        If MLflow is out of reach or refuses.
    """
    total = {"runs": 0, "files": 0, "bytes": 0}
    more = True
    while more:
        answer = _ask("POST", {"dry_run": dry_run})
        more = bool(answer["more"]) and answer["runs"] > 0
        for what in total:
            total[what] += int(answer[what])
    return total


def sizes() -> dict[str, int]:
    """Return the bytes of MLflow's database and files, by name.

    Raises
    ------
    RegistryError
        If MLflow is out of reach or refuses.
    """
    return {name: int(size) for name, size in _ask("GET").items()}


def runs_in_use() -> set[tuple[str, str]]:
    """Return the runs of Airflow that trained the versions with an alias, by ids of DAG and run.

    Raises
    ------
    RegistryError
        If MLflow is out of reach.
    """
    with mlflow_errors("looking for the versions that are in use"):
        client = connect()
        found: set[tuple[str, str]] = set()
        page: str | None = None
        while True:
            models = client.search_registered_models(page_token=page)
            for model in models:
                for version in set(model.aliases.values()):
                    tags = client.get_model_version(model.name, str(version)).tags
                    dag_id = tags.get(f"{names.PREFIX}airflow.dag_id")
                    run_id = tags.get(f"{names.PREFIX}airflow.run_id")
                    if dag_id and run_id:
                        found.add((dag_id, run_id))
            page = models.token
            if not page:
                return found


def _ask(method: str, content: object = None) -> dict[str, Any]:
    import httpx

    login = (
        os.environ.get("MLFLOW_TRACKING_USERNAME", ""),
        os.environ.get("MLFLOW_TRACKING_PASSWORD", ""),
    )
    address = tracking_uri().rstrip("/")
    try:
        response = httpx.request(
            method,
            address + names.ERASING_PATH,
            json=content,
            auth=login,
            timeout=_TIMEOUT,
            trust_env=False,  # a proxy must not see the password
        )
        response.raise_for_status()
    except httpx.TransportError:
        raise  # the server is away: the task is tried again
    except httpx.HTTPError as error:
        raise RegistryError(
            f"MLflow at {address}, asked to erase what was deleted: {error}. See `tradewind logs "
            "mlflow`; a server that is not tradewind's cannot do this: there `mlflow gc` can"
        ) from error
    answer: dict[str, Any] = response.json()
    return answer
