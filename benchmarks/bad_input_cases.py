"""Bad inputs of each kind: every field of every file, every setting, what stands where a file may.

A case is wrong by its nature, not by what our models say of it: no number of a strategy is 1e308.
"""

import os
import random
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel

from tradewind.market.sources.options import FilesOptions
from tradewind.market.sources.source import SourceSpec
from tradewind.research.strategy.strategy import Strategy
from tradewind.settings import FIELDS
from tradewind.specs.words import Type, fields_of, options_of

__all__ = ["Case", "Put", "cases"]

_HERE: Final = "@here@"
STRATEGY: Final[dict[str, Any]] = {
    "name": "bad", "description": "d",
    "universe": {"source": "sample", "symbols": ["IBM", "MSFT"]},
    "horizon": 5, "features": [{"return": {"window": 5}}],
    "model": {"kind": "lightgbm"}, "walk_forward": {"train": 504, "test": 126},
    "backtest": {"commission_bps": 1, "slippage_bps": 4},
}  # fmt: skip
SOURCE: Final[dict[str, Any]] = {
    "name": "bad", "kind": "files", "schedule": None,
    "options": {
        "path": "data/bad.csv", "symbol": {"column": "symbol"},
        "session": {"column": "session", "format": "%Y-%m-%d"}, "adjustment": "none",
    },
}  # fmt: skip
BARS: Final = [
    ["symbol", "session", "open", "high", "low", "close", "volume"],
    *(["IBM", f"2012-01-{day:02}", "10", "11", "9", f"10.{day}", "1000"] for day in (3, 4, 5, 6)),
]


@dataclass(frozen=True)
class Put:
    """Something to lay into the checkout: text, bytes, or what makes what is no file."""

    path: str
    content: bytes | Callable[[Path], None]

    def make(self, path: Path) -> None:
        """Lay it there."""
        if isinstance(self.content, bytes):
            path.write_bytes(self.content)
        else:
            self.content(path)


@dataclass(frozen=True)
class Case:
    """A bad input.

    Attributes
    ----------
    kind, what : str
    files : tuple of Put
    commands : tuple
        What is run: arguments of `tradewind`, or ``("dags",)``.
    named : tuple of str
        One of them is in each refusal.
    environment : dict
    stops_all : bool
        Whether nothing can be done before it is mended, as with a wrong setting.
    slow : bool
        Whether it takes as long as a limit of time.
    """

    kind: str
    what: str
    files: tuple[Put, ...]
    commands: tuple[tuple[str, ...], ...]
    named: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    stops_all: bool = False
    slow: bool = False


def cases(seed: int) -> Iterator[Case]:
    """Yield every case; those of fields are of other values with another seed."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    yield from _fields("strategy", Strategy, STRATEGY, (), rng)
    yield from _fields("source", SourceSpec, SOURCE, (), rng)
    yield from _fields("source", FilesOptions, SOURCE, ("options",), rng)
    yield from _of_strategies()
    yield from _whole_files(rng)
    yield from _code()
    yield from _settings()
    yield from _bars()
    yield from _arguments()


def _strategy(what: str, text: str, named: str, *files: Put, slow: bool = False) -> Case:
    put = Put("strategies/bad.yaml", text.encode("utf-8", "surrogatepass"))
    commands = (("doctor", "--json"), ("train", "bad"), ("dags",))
    return Case("strategy", what, (put, *files), commands, (named,), slow=slow)


def _source(what: str, text: str, named: str, *files: Put) -> Case:
    put = Put("sources/bad.yaml", text.encode("utf-8", "surrogatepass"))
    commands = (("doctor", "--json"), ("data", "validate", "bad"), ("dags",))
    return Case("source", what, (put, *files), commands, (named,))


def _fields(
    kind: str, model: type[BaseModel], base: dict[str, Any], at: tuple[str, ...],
    rng: random.Random,
) -> Iterator[Case]:  # fmt: skip
    """Yield each field of a model with some values that it cannot mean."""
    for path, annotation in _places(model, at):
        values = _bad_values(annotation, rng)
        for value in rng.sample(values, min(2, len(values))):
            text = _written(base, path, value)
            make = _strategy if kind == "strategy" else _source
            yield make(f"{'.'.join(path)}: {value[:40]}", text, "bad.yaml")


def _places(model: type[BaseModel], at: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, info in fields_of(model).items():
        inner = options_of(info.annotation)
        if name in {"kind", "name"} or (at and at[-1] == name):
            continue
        if inner:
            yield from _places(inner[0], (*at, name))
        else:
            yield (*at, name), info.annotation


def _bad_values(annotation: Type, rng: random.Random) -> list[str]:
    """Return YAML of values that no field of a type can mean, whatever its limits are."""
    kinds = _kinds(annotation)
    nested = ["{a: {b: 1}}", "[[1]]"]
    if bool in kinds:
        return ["maybe", "5", "1e308", '"a\\0b"', *nested]
    if kinds & {int, float}:
        digits = rng.randint(13, 15)
        return [
            ".nan", ".inf", "-.inf", "1e308", "-1e308", "9" * digits, "-" + "9" * digits, "x",
            '"a\\0b"', "true", "1_000", "\uff15", "0x10", *nested,
        ]  # fmt: skip
    if date in kinds:
        return [
            "9999-12-31", "0001-01-01", "2012-02-30", str(rng.randint(1, 10**8)), '"86400"',
            "yesterday", ".inf", "31.12.2012", *nested,
        ]  # fmt: skip
    if Literal in kinds:
        return ["nope", "7", '"a\\0b"', ".inf", *nested]
    if tuple in kinds or dict in kinds:
        return ["5", "{5: 1}", "true", ".nan"]
    control = rng.choice("\x01\x07\x08\x1b\x7f")
    return [
        f'"a\\x{ord(control):02x}b"', '"a\\0b"', '"\\ud800"', "5", "true",
        f'"{"x" * rng.randint(5001, 60000)}"', *nested,
    ]  # fmt: skip


def _kinds(annotation: Type) -> set[Any]:
    origin = get_origin(annotation)
    if origin in {Literal, tuple, dict}:
        return {origin}
    if origin is None:
        return {annotation}
    found: set[Any] = set()
    for inner in get_args(annotation):
        found |= _kinds(inner) if get_origin(inner) or isinstance(inner, type) else set()
    return found


def _written(base: dict[str, Any], path: tuple[str, ...], value: str) -> str:
    """Return a specification as YAML, with a value in a place as it is written."""
    whole = yaml.safe_load(yaml.safe_dump(base))
    inner = whole
    for part in path[:-1]:
        inner = inner.setdefault(part, {})
        if part == "sweep":
            inner.setdefault("trials", 5)
            inner.setdefault("parameters", {"rounds": {"low": 5, "high": 9}})
        if part == "label":
            inner.setdefault("kind", "direction")
    inner[path[-1]] = _HERE
    return str(yaml.safe_dump(whole, sort_keys=False)).replace(f"'{_HERE}'", value)


def _of_strategies() -> Iterator[Case]:
    changes: list[tuple[tuple[str, ...], list[str]]] = [
        (("universe", "calendar"), ["MOON", "xnys", "''", "../XNYS", "'24/8'"]),
        (("universe", "source"), ["s" * 3000, "../sample", "Sample", "''"]),
        (("universe", "symbols"), [
            "[../../x]", "[/etc/passwd]", "[..]", "['a\\b\\..']", '["IBM\\u200b"]', "[' IBM']",
            "[IBM, IBM]", f"[{'x' * 33}]", "[\uff29BM]", '["I\\tBM"]',
            "[" + ",".join(f"S{n}" for n in range(6000)) + "]",
        ]),
        (("universe", "start"), ["2150-01-01", "2012-13-01", "'2012-1-1'"]),
        (("schedule",), [
            "0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6 *", "R R * * *", "0 0 * * 9", "'@daily'",
            "* * * *", "0 0 0 0 0", "'* * * * * *'",
            ",".join(map(str, range(60))) * 50 + " * * * *",
        ]),
        (("walk_forward",), ["{train: 1000000000, test: 126}", "{train: 504, test: 1000000000}"]),
        (("model",), [
            "{kind: lightgbm, lambda_l2: 1e308}", "{kind: lightgbm, learning_rate: 1e-300}",
            "{kind: ridge, alpha: 1e308}", "{kind: ma_crossover, fast: 5, slow: 99999}",
            "{kind: x}",
        ]),
        (("features",), [
            "[{return: {window: 100000}}]", "[{momentum: {window: 5, skip: 999999999}}]", "[5]",
            "[{rank: {of: {rank: {of: {return: {window: 5}}}}}}]",
            "[" + ",".join(f"{{return: {{window: {n}}}}}" for n in range(1, 2000)) + "]",
            "[" + ",".join(f"{{r{n}: {{window: 5}}}}" for n in range(2000)) + "]",
        ]),
        (("sweep",), [
            "{trials: 5, parameters: {lambda_l2: {low: 1, high: 1e308}}}",
            "{trials: 1e9, parameters: {rounds: {low: 1, high: 5}}}",
            "{trials: 5, parameters: {os: {low: 1, high: 5}}}",
        ]),
        (("owner",), ['""', "x" * 300]),
    ]  # fmt: skip
    for path, values in changes:
        for value in values:
            what = f"{'.'.join(path)}: {value[:40]}"
            yield _strategy(what, _written(STRATEGY, path, value), "bad.yaml")
    for path, values in {
        ("calendar",): ["MOON", "xnys", "''"],
        ("kind",): ["nope", "''", '"a\\0"'],
        ("options", "path"): [
            "/**/*.csv", "'**'", "/../**/*", "~/data/*.csv", "'../../../../../../../**/*.csv'",
            "/proc/**/*", "x" * 990, "'/'",
        ],
        ("options", "symbol"): ["{file_name: '('}", "{column: a, columns: [b]}"],
        ("options", "session"): [
            "{column: d, time_zone: ../../etc/passwd}", "{column: d, format: ''}",
        ],
        ("options", "csv"): [
            "{separator: ''}", '{separator: "\\n"}', "{quote: ','}", "{encoding: nope}",
            "{encoding: undefined}", "{skip_lines: 1e9}", "{separator: a}",
        ],
        ("sessions",): [
            "{closed: [{days: 9999-12-31, reason: x}]}",
            "{open: [{days: 2012-01-01, close: 1140, reason: x}]}",
            "{closed: [{from: 1900-01-01, to: 2100-01-01, reason: x}]}",
            '{open: [{days: 2012-01-01, close: "86399", reason: x}]}',
        ],
        ("accept",): [
            "[{symbol: A, session: 9999-12-31, rule: outlier, reason: x}]",
            "[{symbol: A, session: 2012-01-03, rule: finite, reason: x}]",
        ],
    }.items():  # fmt: skip
        for value in values:
            what = f"{'.'.join(path)}: {value[:40]}"
            yield _source(what, _written(SOURCE, path, value), "bad")


def _socket(path: Path) -> None:
    # Bound beside its name, which may be longer than a socket's may.
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _gigabyte(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**30)


_SPECIAL: Final[dict[str, Callable[[Path], None]]] = {
    "a folder": lambda path: path.mkdir(),
    "a named pipe": os.mkfifo,
    "a socket": _socket,
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to zeros without end": lambda path: path.symlink_to("/dev/zero"),
    "a link to a folder": lambda path: path.symlink_to("/etc"),
    "what even root cannot read": lambda path: path.symlink_to("/proc/self/mem"),
    "a gigabyte of nothing": _gigabyte,
}


def _whole_files(rng: random.Random) -> Iterator[Case]:
    whole = yaml.safe_dump(STRATEGY, sort_keys=False)
    cut = rng.randint(20, len(whole) - 20)
    texts: dict[str, bytes] = {
        "UTF-16": whole.encode("utf-16"),
        "Latin-1": (whole + "# Gr\u00f6\u00dfe\n").encode("latin-1"),
        "NUL": whole[:cut].encode() + b"\0" + whole[cut:].encode(),
        "random bytes": rng.randbytes(2000),
        "empty": b"",
        "brackets": b"[" * 60_000,
        "maps": b"{a: " * 10_000,
        "dashes": b"- " * 30_000,
        "keys without end": b"".join(b"k%d: 1\n" % n for n in range(7000)),
        "one key": whole.encode() + b"x" * 40_000 + b": 1\n",
        "aliases": b"a: &a [x]\nb: [*a, *a]\n",
        "a tag": b"a: !!python/object/apply:os.system [ls]\n",
        "two documents": whole.encode() + b"---\n" + whole.encode(),
        "too long": whole.encode() + b"#" * 70_000,
        "cut": whole[:cut].encode() + b": [",
        "binary": b"\x7fELF" + rng.randbytes(500),
        "unknown keys": whole.encode() + b"".join(b"z%d: 1\n" % n for n in range(3000)),
    }
    doctor_and_dags = (("doctor", "--json"), ("dags",))
    for folder, one in (("strategies", ("train", "bad")), ("sources", ("data", "validate", "bad"))):
        commands = (*doctor_and_dags, one)
        for what, content in texts.items():
            put = Put(f"{folder}/bad.yaml", content)
            yield Case(folder, what, (put,), commands, ("bad.yaml",))
        for what, make in _SPECIAL.items():
            put = Put(f"{folder}/bad.yaml", make)
            yield Case(folder, what, (put,), commands, ("bad.yaml",))
        long = Put(f"{folder}/{'n' * 240}.yaml", whole.encode())
        yield Case(folder, "a very long name", (long,), doctor_and_dags, ("nnn",))
        odd = Put(f"{folder}/a b\u00fc\n.yaml", whole.encode())
        yield Case(folder, "an odd name", (odd,), doctor_and_dags, ("a b",))


def _code() -> Iterator[Case]:
    bodies: dict[str, bytes | Callable[[Path], None]] = {
        "raises": b"1 / 0\n",
        "ends the process": b"import sys\nsys.exit(0)\ndef f(): ...\n",
        "ends the process hard": b"import os\nos._exit(3)\ndef f(): ...\n",
        "kills itself": b"import os\nos.kill(os.getpid(), 9)\ndef f(): ...\n",
        "is interrupted": b"raise KeyboardInterrupt\ndef f(): ...\n",
        "no Python": b"def f(:\n",
        "zero bytes": b"def f(): ...\n\0",
        "Latin-1": b"# \xf6\ndef f(): ...\n",
        "no such function": b"def g(): ...\n",
        "a value": b"f = 5\n",
        "a class": b"class f: ...\n",
        "async": b"async def f(): ...\n",
        "returns nothing": b"def f(): ...\n",
        "returns a number": b"def f(): return 5\n",
        "yields": b"def f(): yield 5\n",
        "raises when called": b"def f(): raise ValueError('no')\n",
        "exits when called": b"def f(): raise SystemExit(0)\n",
        "wants more": b"def f(window): ...\n",
        "no end of calls": b"def f(): return f()\n",
        "no column": b"import polars as pl\ndef f(): return pl.col('nope')\n",
        "text": b"import polars as pl\ndef f(): return pl.col('symbol')\n",
        "imports nothing there": b"import nowhere_to_be_found\ndef f(): ...\n",
        "brackets": b"x = " + b"(" * 5000 + b")" * 5000 + b"\ndef f(): ...\n",
        "too long": b"#" * 2_000_000,
        **{what: make for what, make in _SPECIAL.items() if what != "a gigabyte of nothing"},
    }
    text = _written(STRATEGY, ("features",), "[{custom: {name: x, function: 'bad_code:f'}}]")
    for what, content in bodies.items():
        put = Put("strategies/bad_code.py", content)
        yield _code_case(what, text, put)
    for what, body in {
        "loops": b"while True: ...\n",
        "loops when called": b"def f():\n while 1: ...\n",
    }.items():
        put = Put("strategies/bad_code.py", body)
        yield _code_case(what, text, put, slow=True)
    for function in ("os:system", "sys:exit", "builtins:eval", "nowhere:f", "nowhere.deeper:f",
                     "subprocess:run", "bad_code", "a:b:c", "../x:f",
                     "f" * 300 + ":f"):  # fmt: skip
        yield _strategy(
            f"function {function[:40]}", text.replace("bad_code:f", function), "features.0.custom"
        )
    text = text.replace(
        "function: 'bad_code:f'", "function: 'noise_features:noise', parameters: %s"
    )
    for parameters in ("{x: .nan}", "5", "{x: [1]}", "{x: null}"):
        yield _strategy(f"parameters {parameters}", text % parameters, "parameters")


def _code_case(what: str, text: str, put: Put, *, slow: bool = False) -> Case:
    strategy = Put("strategies/bad.yaml", text.encode())
    commands = (("doctor", "--json"), ("dags",), *(() if slow else (("train", "bad"),)))
    return Case("code", what, (strategy, put), commands, ("bad_code",), slow=slow)


def _settings() -> Iterator[Case]:
    numbers = ("8_680", "\uff18\uff16\uff18\uff10", "99999", "-1", "0", "1e3", "", "nan", "0x50")
    folders = ("", "~/x", "~", ".", "/", "strategies", '"a\\tb"', "s" * 5000)
    addresses = ("nope", "ftp://x", "http://", "https://a:99999/", "https://a b/", "//x", "a.b/c")
    texts: dict[str, tuple[str, ...]] = {
        name: numbers for name in FIELDS if name.endswith("_port")
    } | {
        "airflow_worker_replicas": ("0", "65", "two", "1.5", "\u0662"),
        "start_timeout": ("0", "-1", "inf", "nan", "1e9", "soon", ""),
        "state_dir": folders,
        "market_store": ("ftp://x", "s3:/x", "s3://", "S3://Bucket/x", "~/bars", "http://x/y"),
        "artifact_store": ("dir", "", "MINIO", "s3"),
        "broker": ("nope", "", "ib2://x", "PAPER", "paper "),
        "alert_url": addresses,
        "mlflow_public_url": addresses,
        "oidc_issuer": (*addresses, "http://login.example.com", "https://a/?b"),
        "oidc_roles": ("quants", "a=boss", "=admin", "a=admin,a=viewer"),
        "oidc_others": ("researcher", "Viewer", ""),
        "oidc_scopes": ("profile", ""),
        "worker_modules": ("a b-c", "1x", "os;rm", "../x", "a..b"),
        "home": ("/tmp",),  # noqa: S108
        "airflow_prot": ("1",),
    }
    commands = (("doctor",), ("doctor", "--json"), ("data", "sources"), ("train", "momentum"))
    for name, values in texts.items():
        variable = f"TRADEWIND_{name.upper()}"
        for value in values:
            if value == "paper ":
                value = "'paper '"  # noqa: PLW2901 - else the reader takes the space away
            put = Put(".env", f"A=1\n{variable}={value}\n".encode())
            where = (f"{{home}}/.env:2: {variable}",)
            yield Case("setting", f"{name}={value[:40]}", (put,), commands, where, stops_all=True)
        around = values[0] or values[1]
        if name != "home":
            yield Case(
                "setting", f"{name}={around} around", (), commands,
                (f"{variable} in the environment",), {variable: around}, stops_all=True,
            )  # fmt: skip
    wholes: dict[str, bytes | Callable[[Path], None]] = {
        "UTF-16": "TRADEWIND_AIRFLOW_PORT=8680\n".encode("utf-16"),
        "UTF-16 without a mark": "TRADEWIND_AIRFLOW_PORT=8680\n".encode("utf-16-le"),
        "Latin-1": "# Gr\u00f6\u00dfe\n".encode("latin-1"),
        "without =": b"TRADEWIND_AIRFLOW_PORT 8680\n",
        "without a value": b"TRADEWIND_AIRFLOW_PORT\n",
        "NUL": b"TRADEWIND_STATE_DIR=a\0b\n",
        "a colon": b"TRADEWIND_AIRFLOW_PORT: 8680\n",
        "twice": b"TRADEWIND_AIRFLOW_PORT=1\nTRADEWIND_AIRFLOW_PORT=2\n",
        "lower case": b"tradewind_airflow_port=8680\n",
        "no end of quotes": b'TRADEWIND_STATE_DIR="a\n',
        "too long": b"#" * 100_000,
        **_SPECIAL,
    }
    for what, content in wholes.items():
        put = Put(".env", content)
        yield Case("setting", f".env: {what}", (put,), commands, ("{home}/.env",), stops_all=True)


def _bars() -> Iterator[Case]:
    source = Put("sources/bad.yaml", yaml.safe_dump(SOURCE, sort_keys=False).encode())
    columns = {name: place for place, name in enumerate(BARS[0])}
    changes: dict[str, tuple[str, ...]] = {
        "close": ("1e308", "-1", "0", "nan", "inf", "1e-300", "ten", "1,5", "1e15", "\uff15"),
        "high": ("1e308", "1e13", "-inf"),
        "volume": ("-1", "1e30", "1.5", "9" * 30, "many"),
        "symbol": ("../../x", "/etc/passwd", "..", "I\x07BM", "x" * 40, " IBM", "\uff29BM", "",
                   "a//b"),
        "session": ("9999-12-31", "0001-01-01", "1600-01-04", "2012-02-30", "soon",
                    "2012-01-04", ""),
    }  # fmt: skip
    for column, values in changes.items():
        for value in values:
            rows = [list(row) for row in BARS]
            rows[2 if value == "2012-01-04" else 3][columns[column]] = value
            if value == "2012-01-04":
                rows[1][columns[column]] = value
            text = "\n".join(",".join(f'"{cell}"' for cell in row) for row in rows)
            yield _of_bars(f"{column} {value[:20]!r}", source, text.encode())
    wholes: dict[str, bytes | Callable[[Path], None]] = {
        "empty": b"",
        "a header alone": ",".join(BARS[0]).encode(),
        "NUL": b"symbol,session\0,open\n" * 10,
        "random": bytes(range(256)) * 20,
        "an archive": b"PK\x03\x04" + b"x" * 100,
        "a long line": b"x" * 5_000_000,
        **{what: make for what, make in _SPECIAL.items() if "gigabyte" not in what},
    }
    for what, content in wholes.items():
        yield _of_bars(what, source, content)


def _of_bars(what: str, source: Put, content: "bytes | Callable[[Path], None]") -> Case:
    files = (source, Put("data/bad.csv", content))
    commands = (("data", "validate", "bad"), ("data", "validate", "bad", "--json"))
    named = ("bad.csv", "IBM", "error", "symbol_spelling")
    return Case("bars", what, files, commands, named)


def _arguments() -> Iterator[Case]:
    odd = (
        "../../x",
        "",
        "x" * 5000,
        "..",
        "/etc/passwd",
        "a b",
        "--",
        "\udcff",
        "%s%n",
        "mom\nentum",
    )
    commands: list[tuple[str, ...]] = [
        (*command, name)
        for command in (("train",), ("backtest",), ("data", "validate"), ("data", "ingest"))
        for name in odd
    ] + [
        ("signals", "momentum", "--session", day)
        for day in ("9999-99-99", "0000-00-00", "tomorrow", "1e9")
    ] + [
        ("tearsheet", "momentum", "-1"), ("tearsheet", "momentum", "1e308"),
        ("models", "compare", "momentum", "1"), ("models", "show", "../x"),
        ("reproduce", "momentum", "9" * 30), ("logs", "../../../etc/passwd"), ("logs", ""),
        ("trading", "orders", "--since", "31.12.2012"), ("trading", "explain", "x" * 5000),
        ("data", "validate", "sample", "../../x"), ("data", "validate", "sample", ""),
    ]  # fmt: skip
    for command in commands:
        what = " ".join(command)[:60]
        yield Case("arguments", ascii(what), (), (command,), ("",))
