"""Hundreds of bad inputs, each given to the real command line.

Run from the checkout: ``python -m benchmarks.bad_inputs``, or ``make campaign``. None may end in a
traceback, hang, or be accepted: what is wrong is refused by the name of the file, field or setting,
and all other strategies and sources are left as they were, in `tradewind doctor` and in the DAGs
that are made of them. `benchmarks.bad_input_cases` has the inputs; they follow from the seed.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from select import select
from typing import Any, Final

from benchmarks.bad_input_cases import Case, Put, cases

__all__ = ["Found", "main", "run", "sample"]

CHECKOUT = Path(__file__).parents[1]
SECONDS: Final = 120.0  # a command that takes longer hangs
_SHIPPED: Final = frozenset({"momentum", "ranker", "ridge", "crossover", "sample"})
_LONGEST_ID: Final = 250  # of a DAG, as Airflow has it
_LARGEST: Final = 1024 * 1024
_TRACEBACK: Final = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Found:
    """What became of a case: nothing where it was refused as it should be."""

    case: Case
    wrong: str
    seconds: float


class _Answerer:
    """A process that runs commands one after the other, and is replaced where one hangs."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, command: Sequence[str], environment: dict[str, str]) -> dict[str, Any] | None:
        """Return code and output of a command; None if it did not end in time."""
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            around = {k: v for k, v in os.environ.items() if not k.startswith("TRADEWIND_")}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.bad_inputs", "--serve", str(self._home)],
                cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, env=around,
            )  # fmt: skip
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None  # noqa: S101 - both are pipes
        assert answers is not None  # noqa: S101
        asked.write(json.dumps([list(command), environment]).encode() + b"\n")
        asked.flush()
        if not select([answers], [], [], SECONDS)[0]:
            self.close()
            return None
        line = answers.readline()
        if not line:
            code = self._process.wait()
            return {"code": code, "out": "", "err": f"the process ended with {code}"}
        told: dict[str, Any] = json.loads(line)
        return told

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            with suppress(BrokenPipeError):
                self._process.communicate()  # closes its pipes, too
            self._process = None


def sample(count: int, seed: int) -> list[Case]:
    """Return some cases of each kind, and none that takes half a minute by its nature."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    by_kind: dict[str, list[Case]] = {}
    for case in cases(seed):
        if not case.slow:
            by_kind.setdefault(case.kind, []).append(case)
    for held in by_kind.values():
        rng.shuffle(held)
    chosen: list[Case] = []
    while len(chosen) < count:
        for held in by_kind.values():
            chosen += [held.pop()] if held else []
    return chosen[:count]


def run(
    asked: Sequence[Case], *, on_found: Callable[[Found], None] = lambda _: None
) -> list[Found]:
    """Give each case to the command line, and return what became of it."""
    found = []
    with tempfile.TemporaryDirectory(prefix="tradewind-bad-") as folder, ExitStack() as stack:
        home = Path(folder) / "home"
        for name in ("strategies", "sources", "config"):
            shutil.copytree(CHECKOUT / name, home / name)
        (home / "strategies" / "noise.yaml").unlink()  # each look at its code takes a process
        answerer = _Answerer(home)
        stack.callback(answerer.close)
        for case in asked:
            began = time.monotonic()
            with _laid(home, case.files):
                wrong = next(filter(None, _judged(case, answerer, home)), "")
            found.append(Found(case, wrong, time.monotonic() - began))
            on_found(found[-1])
    return found


@contextmanager
def _laid(home: Path, files: tuple[Put, ...]) -> Iterator[None]:
    """Lay the files of a case into a checkout, and take them away again."""
    paths = [home / put.path for put in files]
    try:
        for put, path in zip(files, paths, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            put.make(path)
        yield
    finally:
        for path in reversed(paths):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _judged(case: Case, answerer: _Answerer, home: Path) -> Iterator[str]:
    """Yield what is wrong with the answers to a case."""
    for command in case.commands:
        answer = answerer.ask(command, case.environment)
        said = " ".join(command)[:60]
        if answer is None:
            yield f"{said}: hangs"
            return
        text = answer["out"] + answer["err"]
        if _TRACEBACK in text:
            yield f"{said}: traceback: {text.strip().splitlines()[-1][:300]}"
        if command[:2] == ("doctor", "--json") and not case.stops_all:
            yield from _of_doctor(case, answer)
            continue
        if command == ("dags",):
            yield from [f"dags: {answer['err'][:500]}"] if answer["code"] else []
            continue
        if answer["code"] not in {1, 2}:
            yield f"{said}: accepted, code {answer['code']}: {text[:200]!r}"
        if not any(name.format(home=home) in text for name in case.named):
            yield f"{said}: does not name {case.named}: {text[:300]!r}"


def _of_doctor(case: Case, answer: dict[str, Any]) -> Iterator[str]:
    try:
        checks = json.loads(answer["out"])
    except ValueError:
        yield f"doctor: no JSON: {(answer['out'] + answer['err'])[:300]!r}"
        return
    of_files = [one for one in checks if one["name"].startswith(("strategy ", "source "))]
    bad = [one for one in of_files if one["problem"]]
    if not any(name.format(home="") in one["problem"] for one in bad for name in case.named):
        yield f"doctor: accepted, or not named by {case.named}: {bad}"
    for one in bad:
        if one["name"].split(" ", 1)[1] in _SHIPPED:
            yield f"doctor: hurts another: {one}"
    if not {"strategy momentum", "source sample"} <= {one["name"] for one in of_files}:
        yield "doctor: others are gone"


def _serve(home: Path) -> None:
    """Answer commands until there are no more."""
    import io
    from contextlib import redirect_stderr, redirect_stdout

    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    before = dict(os.environ)
    for line in sys.stdin:
        command, environment = json.loads(line)
        os.environ.clear()
        os.environ.update({**before, "TRADEWIND_HOME": str(home), **environment})
        out, err, code = io.StringIO(), io.StringIO(), 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                _answer(command, home)
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 1
                err.write(error.code if isinstance(error.code, str) else "")
            except BaseException:  # noqa: BLE001 - told as what it would be
                import traceback

                code = 1
                traceback.print_exc()
        told = {"code": code, "out": out.getvalue(), "err": err.getvalue()}
        answers.write(json.dumps(told) + "\n")
        answers.flush()


def _answer(command: list[str], home: Path) -> None:
    if command == ["dags"]:
        _check_dags(home)
        return
    from tradewind.cli import main as command_line

    sys.argv = ["tradewind", *command]
    command_line()


def _check_dags(home: Path) -> None:
    """Make the DAGs of all files as Airflow does, and ask whether it could store each."""
    from airflow.serialization.serialized_objects import DagSerialization

    from tradewind.orchestration.dags.ingest_dags import ingest_dags
    from tradewind.orchestration.dags.strategy_dags import strategy_dags

    began = time.monotonic()
    dags = strategy_dags(home / "strategies") | ingest_dags(home / "sources")
    for dag_id, dag in dags.items():
        if dag_id.partition("_")[2] in _SHIPPED:
            continue
        texts = "".join(_texts(json.loads(json.dumps(DagSerialization.to_dict(dag)))))
        if "\0" in texts or len(dag_id) > _LONGEST_ID or len(texts.encode()) > _LARGEST:
            raise SystemExit(f"{dag_id} cannot be stored")
    expected = {"train_momentum", "train_ranker", "signals_ridge", "ingest_sample"}
    if not expected <= dags.keys():
        raise SystemExit(f"{expected - dags.keys()} are gone")
    if time.monotonic() - began > 30.0:  # Airflow's limit for a DAG file
        raise SystemExit("takes too long")


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value


def main() -> None:
    """Run all cases, and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--count", type=int, help="some of each kind; all if not given")
    parser.add_argument("--kind", help="of this kind alone")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        _serve(arguments.serve)
        return
    seed = arguments.seed
    asked = [*cases(seed)] if arguments.count is None else sample(arguments.count, seed)
    asked = [case for case in asked if arguments.kind in {None, case.kind}]
    found = run(asked, on_found=_told)
    wrong = [one for one in found if one.wrong]
    kinds = Counter(one.case.kind for one in found)
    slowest = max(found, key=lambda one: one.seconds)
    print(
        f"{len(found)} bad inputs ({', '.join(f'{n} {kind}' for kind, n in kinds.items())}), "
        f"{len(wrong)} not refused as they should be; the slowest took {slowest.seconds:.1f} s: "
        f"{slowest.case.kind} {slowest.case.what}"
    )
    sys.exit(1 if wrong else 0)


def _told(found: Found) -> None:
    if found.wrong:
        print(f"WRONG {found.case.kind} {found.case.what}: {found.wrong}", flush=True)


if __name__ == "__main__":
    main()
