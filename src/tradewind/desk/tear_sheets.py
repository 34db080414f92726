"""The tear sheet of a version as a file on this machine, and where MLflow's page shows it."""

from dataclasses import dataclass
from pathlib import Path

from tradewind.desk._connections import use_mlflow
from tradewind.errors import RegistryError
from tradewind.settings import Settings

__all__ = ["TearSheet", "save"]


@dataclass(frozen=True)
class TearSheet:
    """A tear sheet that was saved.

    Attributes
    ----------
    name : str
    version : int
    file : Path
        A page of HTML that needs nothing else, no network either.
    address : str
        Where MLflow's page shows it.
    """

    name: str
    version: int
    file: Path
    address: str


def save(
    settings: Settings, name: str, version: int | None = None, output: Path | None = None
) -> TearSheet:
    """Save the tear sheet of a version, the newest if none is named.

    Parameters
    ----------
    settings : Settings
    name : str
    version : int, optional
    output : Path, optional
        The file to write; if not given, one in the state directory, by name and version.

    Raises
    ------
    RegistryError
        If there is no such version or tear sheet, MLflow is out of reach, or the file cannot be
        written.
    """
    from tradewind.registry import tear_sheets

    use_mlflow(settings)
    info = tear_sheets.find_version(name, version)
    content = tear_sheets.read(info)
    file = output or settings.state / "tearsheets" / f"{info.name}-{info.version}.html"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError as error:
        raise RegistryError(
            f"the tear sheet cannot be written to {file}: {error.strerror or error}. Name another "
            "file: --output FILE"
        ) from error
    return TearSheet(
        info.name, info.version, file.absolute(), tear_sheets.address(settings.mlflow_page, info)
    )
