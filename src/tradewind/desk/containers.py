"""What a workspace's containers are built from: Compose's files, settings, and tradewind itself.

Images are built from what is installed here, packed as a wheel again. So they run the same code as
`tradewind up`, wherever that came from.
"""

import base64
import hashlib
import io
import json
import zipfile
from importlib.metadata import PackagePath, distribution
from pathlib import Path, PurePosixPath
from typing import Final

from tradewind.errors import WorkspaceError
from tradewind.host.new_files import is_script
from tradewind.shipped import shipped

__all__ = ["container_files", "write_containers"]

# Which files were written, each with its SHA-256: one that differs is the user's by now.
_WRITTEN: Final = "docker/written.json"
_AS_SHIPPED: Final = ("docker/probe", "docker/with-secrets", "docker/postgres/databases.sh")
_LOCK: Final = ("pyproject.toml", "uv.lock")
_BEGIN: Final = "# tradewind itself: begin\n"
_END: Final = "# tradewind itself: end\n"
_IGNORED: Final = """\
# Images hold what docker/ says; everything else stays outside, secrets first of all.
*
!docker/**
docker/config/certificates
# Packages of your own.
!requirements.txt
# Which commit is checked out, and nothing else of the history.
!.git/HEAD
!.git/packed-refs
!.git/refs/heads/**
"""
# Who installed it, and how: not of the wheel.
_OF_THE_INSTALLER: Final = {
    "RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json",
}  # fmt: skip


def container_files() -> dict[str, bytes]:
    """Return the files by their paths from the workspace; none in a development install.

    That has no wheel: its images are built from its checkout.
    """
    wheel = _wheel()
    if wheel is None:
        return {}
    compose = sorted(shipped("compose.yaml").parent.glob("compose*.yaml"))
    files = {
        path.name: _moved(path.read_text("utf-8")).encode()
        for path in (*compose, shipped(".env.example"))
    }
    files |= {name: shipped(name).read_bytes() for name in _AS_SHIPPED}
    files |= {f"docker/{name}": shipped(name).read_bytes() for name in _LOCK}
    config = shipped("config")
    for path in sorted(each for each in config.rglob("*") if each.is_file()):
        name = path.relative_to(config).as_posix()
        files[f"docker/config/{name}"] = path.read_bytes()
    name, content = wheel
    files[f"docker/{name}"] = content
    files["docker/Dockerfile"] = _from_wheel(shipped("docker/Dockerfile").read_text("utf-8"))
    files[".dockerignore"] = _IGNORED.encode()
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    return files | {_WRITTEN: json.dumps(hashes, indent=1).encode() + b"\n"}


def write_containers(home: Path) -> tuple[str, ...]:
    """Write these files into a workspace, in the place of those of another version.

    Parameters
    ----------
    home : Path

    Returns
    -------
    tuple of str
        What was written, in order.

    Raises
    ------
    WorkspaceError
        If this is a development install, one of the files is the user's own or was changed, and
        nothing was written; or if the disk refuses.
    """
    files = container_files()
    new = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    if not files:
        raise WorkspaceError(
            "this tradewind is a development install, whose images are built from its checkout: "
            "`make wheel` there, install the wheel, and call this again"
        )
    try:
        before = _written(home)
        changed = [
            name
            for name in sorted({*files, *before})
            # What a call that was killed had written already is as it should be.
            if name != _WRITTEN
            and _hash_of(home / name) not in {None, before.get(name), new.get(name)}
        ]
        if changed:
            raise WorkspaceError(
                f"{', '.join(changed)} in {home} was changed, or is not of tradewind's making: "
                "nothing was written. Keep what is yours in compose.override.yaml and .env, take "
                "these away, and call this again"
            )
        for name in before.keys() - files.keys():
            (home / name).unlink(missing_ok=True)
        for name, content in files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            whole = (home / name).with_name(f".{Path(name).name}.whole")
            whole.write_bytes(content)
            if is_script(content):
                whole.chmod(whole.stat().st_mode | 0o111)
            whole.replace(home / name)
    except OSError as error:
        raise WorkspaceError(
            f"cannot write {error.filename or home}: {error.strerror or error}. Mend that, and "
            "call this again"
        ) from error
    return tuple(sorted(files))


def _written(home: Path) -> dict[str, str]:
    try:
        found = json.loads((home / _WRITTEN).read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(map(_is_inside, found)):
        raise WorkspaceError(
            f"{home / _WRITTEN} is damaged: take it away, and what it is to list, docker/ and "
            "compose*.yaml, and call this again"
        )
    return {name: str(value) for name, value in found.items()}


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _hash_of(path: Path) -> str | None:
    """Return the SHA-256 of a file; None where there is none."""
    if not (path.exists() or path.is_symlink()):
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _moved(text: str) -> str:
    """Return a file of Compose's whose config/ is in docker/: the local stack has its own."""
    text = text.replace("./config/", "./docker/config/")
    return text.replace("env_file: config/", "env_file: docker/config/")


def _from_wheel(dockerfile: str) -> bytes:
    """Return the Dockerfile of a checkout as one that takes tradewind from a wheel beside it."""
    before, _, rest = dockerfile.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    text = f"{before}COPY docker/tradewind-*.whl /wheel/\n{after}"
    text = text.replace(
        "COPY pyproject.toml uv.lock ", "COPY docker/pyproject.toml docker/uv.lock "
    )
    return text.replace("COPY uv.lock ", "COPY docker/uv.lock ").encode()


def _wheel() -> tuple[str, bytes] | None:
    """Return name and content of a wheel of what is installed; None if it is a development one."""
    package = distribution("tradewind")
    listed = sorted(each for each in package.files or () if _is_of_the_wheel(each))
    if not any(each.as_posix() == "tradewind/__init__.py" for each in listed):
        return None
    packed = io.BytesIO()
    lines = []
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in listed:
            content = _read(each)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            lines.append(f"{each.as_posix()},sha256={digest.decode()},{len(content)}\n")
            archive.writestr(_entry(each.as_posix(), content), content)
        record = f"tradewind-{package.version}.dist-info/RECORD"
        lines.append(f"{record},,\n")
        archive.writestr(_entry(record, b""), "".join(lines))
    return f"tradewind-{package.version}-py3-none-any.whl", packed.getvalue()


def _read(path: PackagePath) -> bytes:
    try:
        return path.read_binary()
    except OSError as error:
        raise WorkspaceError(
            f"cannot read {path.locate()}, which comes with tradewind: {error.strerror or error}. "
            "Install tradewind again"
        ) from error


def _is_of_the_wheel(path: PackagePath) -> bool:
    if path.suffix == ".pyc" or ".." in path.parts:
        return False
    return path.parts[0] == "tradewind" or path.name not in _OF_THE_INSTALLER


def _entry(name: str, content: bytes) -> zipfile.ZipInfo:
    """Return the head of a file in the wheel: the same at each time, so that layers are kept."""
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.external_attr = (0o755 if is_script(content) else 0o644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
