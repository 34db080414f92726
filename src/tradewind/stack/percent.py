"""Alembic in an environment whose path has a percent sign.

Alembic and MLflow put the path of their own migrations into a file of settings as it is, where a
percent sign begins a reference to another setting. Airflow and Optuna write it twice, as they must;
both are understood here.
"""

import re
from collections.abc import Mapping, MutableMapping
from configparser import BasicInterpolation, ConfigParser
from functools import partial

__all__ = ["allow_percent_signs"]

_ALONE = re.compile(r"(?<!%)((?:%%)*)%(?![%(])")


def _twice(value: str) -> str:
    return _ALONE.sub(r"\1%%", value) if value else value


class _Lenient(BasicInterpolation):
    """Takes a percent sign that begins no reference for what it is."""

    def before_get(
        self,
        parser: MutableMapping[str, Mapping[str, str]],
        section: str,
        option: str,
        value: str,
        defaults: Mapping[str, str],
    ) -> str:
        """Return a value with its references resolved."""
        referred = {name: _twice(text) for name, text in defaults.items()}
        return super().before_get(parser, section, option, _twice(value), referred)

    def before_set(
        self,
        parser: MutableMapping[str, Mapping[str, str]],
        section: str,
        option: str,
        value: str,
    ) -> str:
        """Return the value as it is: it is looked at when it is read."""
        del parser, section, option
        return value


def allow_percent_signs() -> None:
    """Let Alembic's settings in this process hold paths with percent signs."""
    import alembic.config

    vars(alembic.config)["ConfigParser"] = partial(ConfigParser, interpolation=_Lenient())
