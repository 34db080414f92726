"""What each setting may be: its text is judged when it is read, with the value and what to write.

Whether a port is free or an address answers is not asked here: `tradewind doctor` and `up` do.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tradewind.endpoints import read_objects_url, read_postgres_url, read_redis_url
from tradewind.roles import OTHERS, read_groups
from tradewind.suggestions import did_you_mean

__all__ = ["ARTIFACT_STORES", "BROKERS", "read_setting"]

ARTIFACT_STORES: Final = ("auto", "directory", "minio")
BROKERS: Final = "tradewind.brokers"
"""The group of entry points that brokers are found in."""

_OURS: Final = (
    "brokers", "config", "dags", "docker", "docs", "sources", "src", "strategies", "tests",
)  # fmt: skip
_DIGITS: Final = re.compile(r"[0-9]{1,9}")
_DECIMAL: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_BUCKET: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[^\s/][^\s]*)?/?")
_MODULE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_PUBLIC_KEY: Final = re.compile(r"age1[02-9ac-hj-np-z]{58}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MOST: Final = 4096
_SHOWN: Final = 100
_LONGEST_KEPT: Final = 36_500  # days


def read_setting(name: str, text: str, home: Path) -> Any:  # noqa: ANN401 - a number, text or path
    """Return what a setting's text means.

    Parameters
    ----------
    name : str
        Of the field of `tradewind.settings.Settings`.
    text : str
    home : Path
        The workspace, where relative paths start.

    Raises
    ------
    ValueError
        Which begins with what it must be.
    """
    if len(text) > _MOST:
        raise ValueError(f"must have {_MOST} characters at most, not {len(text)}")
    # What the workspace's own folder is called is no matter of this setting.
    if _CONTROL.search(text.removeprefix(str(home))):
        raise ValueError("must be one line without control characters")
    if name.endswith("_port"):
        return _whole(text, 1, 65535)
    rule = _RULES.get(name)
    return text if rule is None else rule(text, home)


def _whole(text: str, least: int, most: int) -> int:
    if _DIGITS.fullmatch(text) and least <= int(text) <= most:
        return int(text)
    plain = re.sub(r"[\s_,.]", "", text)
    meant = int(plain) if plain.isdecimal() and len(plain) < len(str(most)) + 1 else -1
    hint = f": write {meant}" if least <= meant <= most and str(meant) != text else ""
    raise ValueError(f"must be a whole number from {least} to {most}, not {_said(text)}{hint}")


def _seconds(text: str, _: Path) -> float:
    most = 86_400
    if _DECIMAL.fullmatch(text) and 0 < float(text) <= most:
        return float(text)
    raise ValueError(f"must be a number of seconds above 0 and up to {most}, not {_said(text)}")


def _state_dir(text: str, home: Path) -> Path:
    path = (home / _folder(text, ".tradewind")).absolute().resolve()
    root = home.absolute().resolve()
    if path == root or path in root.parents:
        raise ValueError(
            f"must be a folder of its own, not {_said(text)}, which holds the workspace: write "
            ".tradewind"
        )
    if any(path == root / ours or root / ours in path.parents for ours in _OURS):
        raise ValueError(
            f"must be a folder of its own, not {_said(text)}, which belongs to the workspace: "
            "write .tradewind"
        )
    if path.exists() and not path.is_dir():
        raise ValueError(f"must be a folder, not {_said(text)}, which is a file")
    return Path(text)


def _market_store(text: str, _: Path) -> str:
    if text == "" or _BUCKET.fullmatch(text):
        return text
    if _ADDRESS.match(text):
        raise ValueError(f"must be a folder or s3://bucket/prefix, not {_said(text)}")
    return _folder(text, "bars")


def _backup_to(text: str, _: Path) -> str:
    if text == "" or _BUCKET.fullmatch(text):
        return text
    if _ADDRESS.match(text):
        raise ValueError(f"must be a folder or s3://bucket/prefix, not {_said(text)}")
    return _folder(text, "/var/backups/tradewind")


def _hours(text: str, _: Path) -> float:
    most = 8_784  # a year
    if _DECIMAL.fullmatch(text) and float(text) <= most:
        return float(text)
    raise ValueError(f"must be a number of hours from 0 to {most}, not {_said(text)}")


def _public_keys(text: str, _: Path) -> str:
    for word in text.replace(",", " ").split():
        if word.startswith("AGE-SECRET-KEY-"):  # and is not repeated here
            raise ValueError("must be public keys, which begin with age1, not a private one")
        if not _PUBLIC_KEY.fullmatch(word):
            raise ValueError(
                "must be public keys of age, as `tradewind backup-key` prints one, not "
                f"{_said(word)}"
            )
    return text


def _folder(text: str, example: str) -> str:
    if not text.strip():
        raise ValueError(f"must be a folder, such as {example}, not {_said(text)}")
    if text != text.strip():
        raise ValueError(f"must have no space around it, not {_said(text)}: write {text.strip()}")
    if text.startswith("~"):
        try:
            meant = str(Path(text).expanduser())
        except RuntimeError:  # no such user
            meant = "the whole path"
        raise ValueError(
            f"must be a folder, not {_said(text)}, for ~ means nothing here: write {meant}"
        )
    return text


def _artifact_store(text: str, _: Path) -> str:
    if text not in ARTIFACT_STORES:
        known = ", ".join(ARTIFACT_STORES)
        raise ValueError(
            f"must be one of {known}, not {_said(text)}{_close(text, ARTIFACT_STORES)}"
        )
    return text


def _broker(text: str, _: Path) -> str:
    if text == "paper":  # nobody is asked for what is always there
        return text
    from importlib.metadata import entry_points

    known = sorted({entry.name for entry in entry_points(group=BROKERS)})
    name = text.partition("://")[0]
    if name not in known:
        raise ValueError(
            f"must be a broker that is installed ({', '.join(known)}), alone or as in "
            f"ib://gateway:4002?account.momentum=DU1234567, not {_said(name)}{_close(name, known)}"
        )
    return text


def _modules(text: str, _: Path) -> str:
    for module in text.replace(",", " ").split():
        if not _MODULE.fullmatch(module):
            raise ValueError(
                "must be names of Python modules with commas between them, such as "
                f"torch,statsmodels.api, not {_said(module)}"
            )
    return text


def _web_address(text: str, _: Path) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none
        sound = False
    if sound and not re.search(r"\s", text):
        return text
    bare = re.fullmatch(r"[A-Za-z0-9.-]+\.[A-Za-z]{2,}(?:[:/]\S*)?", text)
    hint = ": write https:// before it" if bare else ""
    # Who knows the address of a hook may post to it, so it is told to nobody.
    raise ValueError(
        f"must be an address such as https://example.com/hook, not one of {len(text)} characters "
        f"that is none{hint}"
    )


def _issuer(text: str, _: Path) -> str:
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        sound = bool(host) and parts.port != 0 and not re.search(r"[\s?#@]", text)
    except ValueError:  # a port that is none
        sound, host = False, ""
    here = host in {"localhost", "127.0.0.1", "::1"}
    if not sound or not (parts.scheme == "https" or (parts.scheme == "http" and here)):
        raise ValueError(
            "must be the issuer's address as its tokens have it, such as "
            "https://login.example.com/realms/desk (http only on this machine), not "
            f"{_said(text)}"
        )
    return text


def _claim(text: str, _: Path) -> str:
    if not text or re.search(r"\s", text):
        raise ValueError(f"must be the name of a claim, such as groups, not {_said(text)}")
    return text


def _scopes(text: str, _: Path) -> str:
    if "openid" not in text.split():
        raise ValueError(f"must have openid among its words, or there is no token: {_said(text)}")
    return text


def _others(text: str, _: Path) -> str:
    if text not in OTHERS:
        known = " or ".join(OTHERS)
        raise ValueError(f"must be {known}, not {_said(text)}{_close(text, OTHERS)}")
    return text


def _client_id(text: str, _: Path) -> str:
    if text != text.strip() or not text:
        raise ValueError(f"must be the client's id, without a space around it, not {_said(text)}")
    return text


def _file(text: str, home: Path) -> str:
    if (home / _folder(text, "/etc/ssl/desk.pem")).is_dir():
        raise ValueError(f"must be a file, not {_said(text)}, which is a folder")
    return text


def _read_by(read: Callable[[str], object]) -> Callable[[str, Path], str]:
    def rule(text: str, _: Path) -> str:
        read(text)
        return text

    return rule


def _close(name: str, known: "tuple[str, ...] | list[str]") -> str:
    said = did_you_mean(name, known)
    return f". {said}" if said.startswith("Did") else ""


def _said(text: str) -> str:
    text = re.sub(r"(?<=://)[^\s/@]*@", "***@", text)
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


_RULES: Final[Mapping[str, Callable[[str, Path], Any]]] = {
    "state_dir": _state_dir,
    "market_store": _market_store,
    "airflow_worker_replicas": lambda text, _: _whole(text, 1, 64),
    "worker_modules": _modules,
    "artifact_store": _artifact_store,
    "postgres_url": _read_by(read_postgres_url),
    "redis_url": _read_by(read_redis_url),
    "objects_url": _read_by(read_objects_url),
    "broker": _broker,
    "mlflow_public_url": _web_address,
    "alert_url": _web_address,
    "oidc_issuer": _issuer,
    "oidc_client_id": _client_id,
    "oidc_client_secret_file": _file,
    "oidc_roles": _read_by(read_groups),
    "oidc_role_claim": _claim,
    "oidc_name_claim": _claim,
    "oidc_others": _others,
    "oidc_scopes": _scopes,
    "oidc_ca_file": _file,
    "keep_days": lambda text, _: _whole(text, 0, _LONGEST_KEPT),
    "keep_deleted_days": lambda text, _: _whole(text, 0, _LONGEST_KEPT),
    "backup_to": _backup_to,
    "backup_every_hours": _hours,
    "backup_keep": lambda text, _: _whole(text, 1, 10_000),
    "backup_encrypt_to": _public_keys,
    "start_timeout": _seconds,
}
