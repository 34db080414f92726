"""The tear sheet of a version: where MLflow's page shows it, and the file itself."""

from tradewind.errors import RegistryError
from tradewind.registry import _names as names
from tradewind.registry._client import connect, mlflow_errors
from tradewind.registry._files import download, is_there
from tradewind.registry._pages import run_page
from tradewind.registry.version_info import VersionInfo
from tradewind.registry.versions import show_model

__all__ = ["address", "find_version", "read"]


def address(page: str, info: VersionInfo) -> str:
    """Return where a browser that is logged in sees a version's tear sheet at once.

    Parameters
    ----------
    page : str
        Address of MLflow's page.
    info : VersionInfo

    Returns
    -------
    str
        Empty for a version that has no run.
    """
    if not (info.run_id and info.experiment_id):
        return ""
    return page.rstrip("/") + run_page(info.experiment_id, info.run_id, names.TEAR_SHEET_FILE)


def find_version(name: str, version: int | None = None) -> VersionInfo:
    """Return a version of a model, the newest if none is named.

    Raises
    ------
    RegistryError
        If there is no such model or version, or MLflow is out of reach.
    """
    found = show_model(name)
    for info in found:
        if version in {None, info.version}:
            return info
    there = ", ".join(str(info.version) for info in reversed(found)) or "none"
    which = "a version" if version is None else f"version {version}"
    raise RegistryError(f"the registry holds no {which} of {name!r}; versions are {there}")


def read(info: VersionInfo) -> bytes:
    """Return a version's tear sheet, a page of HTML that needs nothing else.

    Raises
    ------
    RegistryError
        If its run has none, or MLflow is out of reach.
    """
    with mlflow_errors(f"fetching the tear sheet of {info.name} version {info.version}"):
        if info.run_stage != "gone" and not is_there(connect(), info, names.TEAR_SHEET_FILE):
            raise RegistryError(
                f"{info.name} version {info.version} has no {names.TEAR_SHEET_FILE} in its run "
                f"{info.run_id}: it was trained before there were any, or the file was removed. "
                f"Train it again: tradewind train {info.name} --wait"
            )
        return download(info, names.TEAR_SHEET_FILE)
