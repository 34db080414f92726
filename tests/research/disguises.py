"""Features that know the future and do not look it, each as the body of a user's module.

Every one is a function ``feature()``. `AHEAD` look ahead where and when they please; `REMEMBERING`
keep what they learnt from one frame for the next, each in another place.
"""

from typing import Final

_C = "pl.col('close')"
_CHANGE = f"{_C}.pct_change()"
_NEXT = f"({_C}.shift(-1) / {_C} - 1)"
_DAY = "pl.col('session').dt"
_MONTH = f"({_DAY}.year() * 12 + {_DAY}.month())"
_SPLIT_LIKE = f"({_C}.pct_change().abs() > 0.12)"


def _when(condition: str, peek: str = _NEXT) -> str:
    return f"pl.when({condition}).then({peek}).otherwise({_CHANGE})"


def batch(body: str) -> str:
    """Return a module whose function gets closes, sessions and symbols of one symbol as lists."""
    return f"""
def _of(columns):
    close, session, symbol = (column.to_list() for column in columns)
    n = len(close)
{body}

def feature():
    return pl.map_batches(
        ['close', 'session', 'symbol'],
        lambda columns: pl.Series(_of(columns), dtype=pl.Float64),
        return_dtype=pl.Float64,
    )
"""


EXPRESSIONS: Final = {
    "only at month ends": _when(f"{_MONTH} != {_MONTH}.shift(-1)"),
    "only on the first session of a month": _when(f"{_MONTH} != {_MONTH}.shift(1)"),
    "only at quarter ends": _when(f"({_MONTH} - 1) // 3 != (({_MONTH} - 1) // 3).shift(-1)"),
    "only at the end of a year": _when(f"{_DAY}.year() != {_DAY}.year().shift(-1)"),
    "only on the 29th of February": _when(f"({_DAY}.month() == 2) & ({_DAY}.day() == 29)"),
    "only on the 13th": _when(f"{_DAY}.day() == 13"),
    "only on the 17th": _when(f"{_DAY}.day() == 17"),
    "only on the third Friday": _when(f"({_DAY}.weekday() == 5) & {_DAY}.day().is_between(15, 21)"),
    "only before a holiday": _when(
        "(pl.col('session').shift(-1) - pl.col('session')).dt.total_days() > 3"
    ),
    "only after a holiday": _when("pl.col('session').diff().dt.total_days() > 3"),
    "only of one symbol": _when("pl.col('symbol') == 'IBM'"),
    "only at month ends of one symbol": _when(
        f"(pl.col('symbol') == 'IBM') & ({_MONTH} != {_MONTH}.shift(-1))"
    ),
    "only if volume is extreme": _when(
        "pl.col('volume') > 3 * pl.col('volume').rolling_mean(20).shift(1)"
    ),
    "only after a large fall": _when(f"{_CHANGE} < -0.07"),
    "only at a new high": _when(f"{_C} >= {_C}.cum_max()"),
    "only in the first ten sessions": _when("pl.int_range(pl.len()) < 2"),
    "only in the last sessions": _when("pl.int_range(pl.len()) > pl.len() - 4"),
    "a hole on the 13th, filled from both sides": (
        f"pl.when({_DAY}.day() != 13).then({_CHANGE}).interpolate()"
    ),
    "a hole on the 13th, filled from after it": (
        f"pl.when({_DAY}.day() != 13).then({_CHANGE}).backward_fill()"
    ),
    "forward fill of the reversed column": (
        f"pl.when({_DAY}.day() != 20).then({_CHANGE}).reverse().forward_fill().reverse()"
    ),
    "centred window": f"{_C} / {_C}.rolling_mean(5, center=True)",
    "z score of the column": f"({_CHANGE} - {_CHANGE}.mean()) / {_CHANGE}.std()",
    "scaled to the column's range": (
        f"({_CHANGE} - {_CHANGE}.min()) / ({_CHANGE}.max() - {_CHANGE}.min())"
    ),
    "rank in the column": f"{_CHANGE}.rank() / pl.len()",
    "quantile of the column": f"({_CHANGE} > {_CHANGE}.quantile(0.999))",
    "clipped at quantiles of the column": (
        f"{_CHANGE}.clip({_CHANGE}.quantile(0.001), {_CHANGE}.quantile(0.999))"
    ),
    "bins of the column's quantiles": f"{_CHANGE}.bin_quantiles(5, labels=False)",
    "sorted from the end, then summed": f"{_CHANGE}.sort_by('session', descending=True).cum_sum()",
    "exponential mean from the end": f"{_C}.reverse().ewm_mean(span=5).reverse() / {_C}",
    "mean of its month": f"{_C} / {_C}.mean().over({_MONTH})",
    "last close of its week": f"{_C}.last().over({_DAY}.year(), {_DAY}.week()) / {_C}",
    "first session of next year": (f"{_C}.last().over({_DAY}.year()) / {_C}"),
    "number of bars": f"{_CHANGE} + 1e-9 * pl.len()",
    "row from the end": f"{_CHANGE} * (pl.len() - pl.int_range(pl.len()))",
    "last value of the frame": f"{_C} / {_C}.last()",
    "shift that fills": f"{_C}.shift(-1, fill_value=pl.col('close').last()) / {_C}",
    "gathered from a month later": (
        f"{_C}.gather((pl.int_range(pl.len()) + 21).clip(0, pl.len() - 1)) / {_C}"
    ),
    "other behaviour of long frames": (
        f"pl.when(pl.len() > 3000).then({_NEXT}).otherwise({_CHANGE})"
    ),
    "parity of the number of bars": f"pl.when(pl.len() % 2 == 0).then({_CHANGE}).otherwise(0.0)",
    "spectrum of the column": f"{_CHANGE} / {_CHANGE}.pow(2).sum().sqrt()",
    "a line through the column": f"pl.int_range(pl.len()).cast(pl.Float64) / {_C} * {_C}.mean()",
    "a millionth of tomorrow": f"{_CHANGE} + 1e-6 * {_CHANGE}.shift(-1)",
}
AHEAD: Final = {
    **{name: f"def feature():\n    return {body}\n" for name, body in EXPRESSIONS.items()},
    "a walk in Python that sees the next split": batch(
        "    return [close[i + 1] / close[i] if i + 1 < n and i and "
        "abs(close[i] / close[i - 1] - 1) > 0.08 else 0.0 for i in range(n)]"
    ),
    "seeded random numbers, a share of the next change": batch(
        "    import random\n"
        "    draw = random.Random(1)\n"
        "    return [draw.random() + (close[i + 1] / close[i] if i + 1 < n else 1.0) "
        "for i in range(n)]"
    ),
    "falsely called elementwise": (
        "def feature():\n    return pl.col('close').pct_change().map_batches(\n"
        "        lambda s: s / s.std(), return_dtype=pl.Float64, is_elementwise=True)\n"
    ),
    "a table by hash of the symbol": batch(
        "    table = {}\n    for c, s in zip(close, symbol):\n        table[hash(s) % 7] = c\n"
        "    return [table[hash(s) % 7] / c for c, s in zip(close, symbol)]"
    ),
}

_KEEP = """
    columns = list(zip(symbol, session, strict=True))
    found = {key: close[i + 1] / close[i] - 1 for i, key in enumerate(columns) if i + 1 < n}
"""
_LOOKUP = "    return [KEPT.get(key, 0.0) for key in columns]"
REMEMBERING: Final = {
    "a global lookup by session": "KEPT = {}\n"
    + batch(
        _KEEP
        + "    for key, value in found.items():\n        KEPT.setdefault(key, value)\n"
        + _LOOKUP
    ),
    "a global scaler of the first frame": "KEPT = []\n"
    + batch(
        "    if not KEPT:\n        KEPT.extend([min(close), max(close)])\n"
        "    return [(c - KEPT[0]) / (KEPT[1] - KEPT[0]) * 0 + KEPT[1] / KEPT[0] for c in close]"
    ),
    "a scaler by symbol": "KEPT = {}\n"
    + batch(
        "    scale = KEPT.setdefault(symbol[0], max(close) / close[0])\n    return [scale] * n"
    ),
    "a default argument": batch(
        "    return _scaled(close)\n\ndef _scaled(close, kept=[]):\n"
        "    if not kept:\n        kept.append(max(close) / min(close))\n"
        "    return [kept[0]] * len(close)"
    ),
    "an attribute of a class": "class Kept:\n    most = {}\n"
    + batch(
        "    most = Kept.most.setdefault(symbol[0], max(close) / close[0])\n    return [most] * n"
    ),
    "lru_cache by symbol": "import functools\nSEEN = {}\n\n\n@functools.lru_cache\n"
    "def _most(symbol):\n    return SEEN[symbol]\n"
    + batch("    SEEN[symbol[0]] = max(close) / close[0]\n    return [_most(symbol[0])] * n"),
    "a global list that grows": "KEPT = []\n"
    + batch("    KEPT.extend(close)\n    return [len(KEPT) + 0.0] * n"),
    "an environment variable": "import os\n"
    + batch(
        "    name = 'MOST_' + symbol[0]\n"
        "    os.environ.setdefault(name, repr(max(close) / close[0]))\n"
        "    return [float(os.environ[name])] * n"
    ),
    "an attribute of another module": "import math\n"
    + batch(
        "    kept = math.__dict__.setdefault('_kept', {})\n"
        "    return [kept.setdefault(symbol[0], max(close) / close[0])] * n"
    ),
    "a module of its own": "import sys, types\n"
    + batch(
        "    kept = sys.modules.setdefault('kept_of_mine', types.ModuleType('kept'))\n"
        "    return [kept.__dict__.setdefault(symbol[0], max(close) / close[0])] * n"
    ),
    "a file": "import json, pathlib\n"
    + batch(
        "    path = pathlib.Path(__file__).with_name('kept_' + symbol[0] + '.json')\n"
        "    if not path.exists():\n        path.write_text(json.dumps(max(close) / close[0]))\n"
        "    return [json.loads(path.read_text())] * n"
    ),
    "a file that polars writes": "import pathlib\n"
    + batch(
        "    path = pathlib.Path(__file__).with_name('kept_' + symbol[0] + '.parquet')\n"
        "    if not path.exists():\n"
        "        pl.DataFrame({'most': [max(close) / close[0]]}).write_parquet(path)\n"
        "    return pl.read_parquet(path)['most'].to_list() * n"
    ),
    "a file, if it can be written": "import json, pathlib\n"
    + batch(
        "    path = pathlib.Path(__file__).with_name('kept_' + symbol[0])\n"
        "    try:\n        kept = json.loads(path.read_text())\n    except (OSError, ValueError):\n"
        "        kept = max(close) / close[0]\n        try:\n"
        "            path.write_text(json.dumps(kept))\n        except OSError:\n"
        "            path.unlink(missing_ok=True)\n"
        "    return [kept] * n"
    ),
}
"""What each keeps is of the whole first frame, so that it looks ahead, too."""


def _session(body: str, before: str = "") -> str:
    """Return a module whose function gets one session's closes, days and symbols as lists."""
    return f"""{before}
def _of(columns):
    close, day, symbol = (column.to_list() for column in columns[:3])
    day = day[0]
    n = len(close)
{body}

def feature():
    return pl.map_batches(
        ['close', 'session', 'symbol'],
        lambda columns: pl.Series(_of(columns), dtype=pl.Float64),
        return_dtype=pl.Float64,
    )
"""


_FRAME: Final = """import sys


def _frame():
    for frame in sys._current_frames().values():
        while frame is not None:
            if isinstance(frame.f_locals.get('prices'), pl.DataFrame):
                return frame.f_locals['prices']
            frame = frame.f_back

"""
"""The whole frame, taken from the local variables of the thread that computes the feature."""

_PEEKING: Final[dict[str, object]] = {"next": {"custom": {"name": "next", "function": "mine:peek"}}}
_PEEK = "def peek():\n    return {}\n\n\n"
_OTHERS = "(pl.col('next').sum() - pl.col('next')) / pl.len()"
ACROSS: Final[dict[str, tuple[str, dict[str, object]]]] = {
    "the others' tomorrow, by an input": (
        _PEEK.format(_NEXT) + f"def feature():\n    return {_OTHERS}\n",
        _PEEKING,
    ),
    "a rank with the next return, by an input": (
        _PEEK.format(_NEXT) + "def feature():\n    return pl.col('next').rank() / pl.len()\n",
        _PEEKING,
    ),
    "a share of the column's mean, by an input": (
        _PEEK.format(f"{_C} / {_C}.mean()")
        + "def feature():\n    return pl.col('next') / pl.col('next').sum()\n",
        _PEEKING,
    ),
    "the others' tomorrow at month ends, by an input": (
        _PEEK.format(_when(f"{_MONTH} != {_MONTH}.shift(-1)"))
        + f"def feature():\n    return {_OTHERS}\n",
        _PEEKING,
    ),
    "the leader's tomorrow, from the frame": (
        _session(
            "    rows = _frame().filter(pl.col('symbol') == symbol[0], pl.col('session') > day)\n"
            "    return [rows['close'][0] / close[0] if len(rows) else 1.0] * n",
            _FRAME,
        ),
        {},
    ),
    "z score over the whole frame": (
        _session(
            "    whole = _frame()['close'] / _frame()['raw_close']\n"
            "    return [(c / max(close) - whole.mean()) / whole.std() for c in close]",
            _FRAME,
        ),
        {},
    ),
    "rank among all closes of the frame": (
        _session(
            "    whole = _frame()['close']\n"
            "    return [float((whole < c).sum()) / len(whole) for c in close]",
            _FRAME,
        ),
        {},
    ),
    "number of the session, from the end": (
        _session(
            "    return [float((_frame()['session'] > day).sum())] * n",
            _FRAME,
        ),
        {},
    ),
    "the frame's last close": (
        _session(
            "    return [c / _frame()['close'][-1] for c in close]",
            _FRAME,
        ),
        {},
    ),
    "order of the calls": (
        _session("    CALLS.append(day)\n    return [len(CALLS) + 0.0] * n", "CALLS = []"),
        {},
    ),
    "tomorrow, if it was computed before": (
        _session(
            "    KEPT[day] = close[0]\n"
            "    later = [d for d in list(KEPT) if d > day][:1]\n"
            "    return [KEPT[later[0]] / close[0] if later else 1.0] * n",
            "KEPT = {}",
        ),
        {},
    ),
    "a scaler of the first sessions seen": (
        _session(
            "    if len(KEPT) < 5000:\n        KEPT.append(max(close) / min(close))\n"
            "    return [max(KEPT) * min(close) / max(close)] * n",
            "KEPT = []",
        ),
        {},
    ),
    "highest ratio of any session so far, kept by symbol": (
        _session(
            "    for s, c in zip(symbol, close):\n"
            "        KEPT[s] = max(KEPT.get(s, 0.0), c / sum(close))\n"
            "    return [c / sum(close) / KEPT[s] for s, c in zip(symbol, close)]",
            "KEPT = {}",
        ),
        {},
    ),
    "quotes counted by hash of the symbol": (
        _session(
            "    for s in symbol:\n        KEPT[hash(s) % 3] = KEPT.get(hash(s) % 3, 0) + 1\n"
            "    return [float(KEPT[hash(s) % 3]) for s in symbol]",
            "KEPT = {}",
        ),
        {},
    ),
}
"""Module and inputs of features across symbols, each of which knows other sessions than its own."""

BETWEEN: Final = {
    "the first symbol's tomorrow, kept for the next ones": "KEPT = {}\n"
    + batch(
        "    first = KEPT.setdefault('first', symbol[0])\n"
        "    if symbol[0] == first:\n        KEPT['close'] = dict(zip(session, close))\n"
        "    days = sorted(KEPT['close'])\n"
        "    after = dict(zip(days, days[1:]))\n"
        "    return [KEPT['close'].get(after.get(d), 0.0) / c for d, c in zip(session, close)]"
    ),
    "the mean of all closes seen of all symbols": "KEPT = []\n"
    + batch("    KEPT.append(sum(close) / n / close[0])\n    return [sum(KEPT) / len(KEPT)] * n"),
}
"""Features of one symbol that see the others nevertheless."""
