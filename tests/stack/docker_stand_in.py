"""``docker compose`` of the documented backup and restore, carried out on a local stack's stores.

Only what `docs/operations.md` asks for there is known, so that the page's own lines can be run. The
environment names the checkout, in STAND_IN_HOME.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.stack.conftest import Stack
from tradewind.stack.layout import Layout
from tradewind.stack.postgres import program as postgres_program
from tradewind.stack.secrets import load_secrets


def run(stack: Stack, words: list[str]) -> int:
    layout = Layout(stack.settings.state)
    match words:
        case ["exec", "-T", "postgres", program, *rest]:
            environment = {
                **os.environ,
                "PGHOST": "127.0.0.1", "PGPORT": str(stack.settings.postgres_port),
                "PGPASSWORD": load_secrets(layout).postgres_superuser,
            }  # fmt: skip
            return subprocess.run(
                [postgres_program(program), *rest], env=environment, check=False
            ).returncode
        case ["run", "--rm", "--no-deps", "-T", "--entrypoint", "tar", "secrets", "-C", at, *rest]:
            folder = {
                "/volumes/minio": layout.artifacts_dir,
                "/volumes/state": layout.root / "market",
                "/run/secrets": layout.root,
            }[at]
            folder.mkdir(parents=True, exist_ok=True)
            if at == "/run/secrets":
                rest = ["secrets.json" if word == "." else word for word in rest]
            return subprocess.run(["tar", "-C", str(folder), *rest], check=False).returncode
        case ["up", "--detach", "--wait"] | ["up", "--detach", "--wait", "postgres"]:
            part = stack.part("postgres", "databases")
            part.run("down")
            done = part.run("up", "--detach")
            sys.stderr.write(done.stderr if done.returncode else "")
            return done.returncode
    raise SystemExit(f"the documents ask for what no test knows: {words}")


if __name__ == "__main__":
    assert sys.argv[1] == "compose"
    sys.exit(run(Stack(Path(os.environ["STAND_IN_HOME"]), dict(os.environ)), sys.argv[2:]))
