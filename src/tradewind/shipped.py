"""Where is what comes with tradewind besides its code: one answer for a wheel and a checkout.

The build puts the files that `pyproject.toml` names under ``force-include`` into the wheel, under
their own names; a development install reads them where they are.
"""

from pathlib import Path
from typing import Final

from tradewind.errors import SettingsError

__all__ = ["IN_THE_WHEEL", "shipped"]

IN_THE_WHEEL: Final = "_shipped"
"""The folder of a wheel's package that has them."""

_PACKAGE: Final = Path(__file__).parent


def shipped(name: str, package: Path = _PACKAGE) -> Path:
    """Return the path of a file or folder that comes with tradewind.

    Parameters
    ----------
    name : str
        As the checkout has it, such as ``config/airflow.env``.
    package : Path
        Where tradewind's code is.

    Raises
    ------
    SettingsError
        If it is not there: the installation is damaged.
    """
    in_the_wheel = package / IN_THE_WHEEL
    root = in_the_wheel if in_the_wheel.is_dir() else package.parents[1]
    if not (root / name).exists():
        raise SettingsError(
            f"{root / name} is missing, which comes with tradewind: install it again"
        )
    return root / name
