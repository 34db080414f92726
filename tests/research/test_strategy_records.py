"""What earlier releases recorded is read, whatever today's files may say."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from tradewind.errors import StrategyError
from tradewind.research.evaluation.dataset import _longest_trial
from tradewind.research.strategy.features import MaRatio
from tradewind.research.strategy.files import load_strategies, load_strategy
from tradewind.research.strategy.strategy import Strategy

SHIPPED = Path(__file__).parents[2] / "strategies"
RETURN = {"kind": "return", "window": 5}
OWN = {"function": "my_features:own", "parameters": {"a": 1}}
# Between them they have every field of every model.
LEAST: dict[str, Any] = {
    "name": "old", "description": "d", "horizon": 5,
    "universe": {"source": "sample", "symbols": ["IBM", "MSFT"], "start": "2001-01-02"},
    "model": {"kind": "ridge", "alpha": 1.0, "weights": {"half_life": 252}},
    "features": [RETURN],
    "walk_forward": {"train": 504, "test": 126, "purge": 5},
    "backtest": {"commission_bps": 1.0, "slippage_bps": 4.0},
}  # fmt: skip
EXAMPLES: dict[str, dict[str, Any]] = {
    "ridge": LEAST | {
        "owner": "me", "schedule": "0 0 * * *", "benchmark": {"symbol": "SPY"},
        "universe": LEAST["universe"] | {"end": "2011-12-30"},
        "features": [
            RETURN,
            {"kind": "momentum", "window": 252, "skip": 21},
            {"kind": "volatility", "window": 20},
            {"kind": "rsi", "window": 14},
            {"kind": "ma_distance", "window": 50},
            {"kind": "ma_ratio", "fast": 5, "slow": 20},
            {"kind": "volume_ratio", "window": 20},
            {"kind": "custom", "name": "mine", **OWN},
            {"kind": "across", "name": "share", "inputs": {"ret": RETURN}, **OWN},
            {"kind": "rank", "of": RETURN},
        ],
        "combinatorial": {"folds": 6, "test_folds": 2, "embargo": 0},
        "sweep": {
            "trials": 5, "batches": 2,
            "parameters": {"alpha": {"choices": [1.0, 2.0]}},
        },
    },
    "lightgbm": LEAST | {
        "model": {"kind": "lightgbm", "early_stopping": {"rounds": 50, "share": 0.2}},
        "sweep": {
            "trials": 5, "batches": 2,
            "parameters": {
                "learning_rate": {"low": 0.01, "high": 0.1, "log": True},
                "objective": {"choices": ["regression", "lambdarank"]},
            },
        },
    },
    "ma_crossover": LEAST | {
        "model": {"kind": "ma_crossover", "fast": 5, "slow": 20}, "features": [],
    },
    "custom": LEAST | {
        "model": {"kind": "custom", "class": "my_features:Mine", "parameters": {"a": [1, "b"]}},
    },
    "rule": LEAST | {
        "model": {"kind": "rule", "function": "my_features:own", "parameters": {"a": 1}},
    },
    "estimator": LEAST | {
        "model": {
            "kind": "estimator", "class": "sklearn.linear_model:Ridge", "parameters": {"alpha": 2},
        },
    },
}  # fmt: skip
SCHEMA = Strategy.model_json_schema()
BOUNDS = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "pattern",
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
}  # fmt: skip
Place = tuple[str | int, ...]


def full(example: dict[str, Any]) -> dict[str, Any]:
    """An example with all defaults spelled out."""
    return Strategy.model_validate(example).model_dump(mode="json")


def bounds_in(schema: dict[str, Any], place: str = "") -> Iterator[tuple[tuple[int, str], str]]:
    """Every bound of a part of the schema: which part's, and where that is."""
    yield from (((id(schema), bound), place) for bound in sorted(BOUNDS & schema.keys()))
    for key, value in schema.items():
        # Names of fields and kinds may be those of bounds.
        inner = value if key in {"properties", "$defs", "mapping"} else {"": value}
        for name, each in inner.items():
            for one in each if isinstance(each, list) else [each]:
                if isinstance(one, dict):
                    yield from bounds_in(one, f"{place}/{key}/{name}")


def walk(
    schema: dict[str, Any], value: Any, place: Place
) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Follow a value through the schema: each place in it, with what the schema says of it."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    yield place, schema
    for option in [*schema.get("anyOf", ()), *schema.get("oneOf", ())]:
        meant = SCHEMA["$defs"][option["$ref"].rpartition("/")[2]] if "$ref" in option else option
        if "properties" in meant and isinstance(value, dict):
            kind = meant["properties"].get("kind", {})
            told = (kind.get("const"), *kind.get("enum", ()))
            suits = value.keys() <= meant["properties"].keys() and (
                "kind" not in value or value["kind"] in told
            )
        else:
            kinds = {"integer": int, "number": float, "string": str, "boolean": bool, "array": list}
            suits = type(value) is kinds.get(meant.get("type", ""))
        if suits:
            yield from walk(option, value, place)
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in schema.get("properties", {}):
                yield from walk(schema["properties"][name], inner, (*place, name))
            elif isinstance(schema.get("additionalProperties"), dict):
                yield from walk(schema["additionalProperties"], inner, (*place, name))
        if "propertyNames" in schema and value:
            yield (*place, "[name]"), schema["propertyNames"]
    elif isinstance(value, list) and value and "items" in schema:
        for index, inner in enumerate(value):
            yield from walk(schema["items"], inner, (*place, index))


def outside(bound: str, limit: Any, value: Any) -> Any:
    """A value of the right type that a bound shuts out."""
    if bound in {"minimum", "maximum"}:
        return type(limit)(limit + (1 if bound == "maximum" else -1))
    if bound == "pattern":
        return "Not So!"
    fewer = bound.startswith("min")
    number = limit - 1 if fewer else limit + 1
    if isinstance(value, str):
        return "a" * number
    if isinstance(value, dict):
        first = next(iter(value.values()))
        return {f"n{each}": first for each in range(number)}
    if isinstance(value[0], dict):
        return [RETURN | {"window": each + 1} for each in range(number)]
    kind = type(value[0])
    return [f"S{each}" if kind is str else kind(each + 1) for each in range(number)]


def put(fields: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    """A copy of some fields with a value replaced, or the first name of a mapping."""
    fields = deepcopy(fields)
    at: Any = fields
    *before, last = place
    for part in before:
        at = at[part]
    if last == "[name]":
        at[value] = at.pop(next(iter(at)))
    else:
        at[last] = value
    return fields


def found() -> tuple[dict[tuple[str, Place, str], dict[str, Any]], set[Any]]:
    cases, met = {}, set()
    for name, example in EXAMPLES.items():
        fields = full(example)
        for place, schema in walk(SCHEMA, fields, ()):
            value: Any = fields
            for part in place:
                value = part if part == "[name]" else value[part]
            for bound in sorted(BOUNDS & schema.keys()):
                if (id(schema), bound) not in met:
                    met.add((id(schema), bound))
                    wrong = outside(bound, schema[bound], value)
                    cases[name, place, bound] = put(fields, place, wrong)
    return cases, met


CASES, MET = found()


def write(folder: Path, fields: dict[str, Any]) -> Path:
    (folder / "my_features.py").write_text("def own(a): ...\n\n\nclass Mine: ...\n")
    file = folder / f"{fields['name']}.yaml"
    apart = json.loads(json.dumps(fields))  # a file has no aliases
    file.write_text(yaml.safe_dump(apart, sort_keys=False), encoding="utf-8")
    return file


def test_every_bound_of_a_strategy_has_a_case() -> None:
    without = {
        place: bound for (part, bound), place in bounds_in(SCHEMA) if (part, bound) not in MET
    }
    assert not without, "an example above must have such a field"
    assert len(CASES) > 100


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_file_of_today(tmp_path: Path, example: str) -> None:
    fields = full(EXAMPLES[example])
    file = write(tmp_path, fields)
    assert load_strategy(file).model_dump(mode="json") == fields


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case[0]}-{'.'.join(map(str, case[1]))}-{case[2]}"
)
def test_a_record_outside_of_a_bound_is_read_and_such_a_file_is_refused(
    tmp_path: Path, case: tuple[str, Place, str]
) -> None:
    fields = CASES[case]
    read = Strategy.recorded(json.dumps(fields))
    assert read.model_dump(mode="json") == fields
    assert Strategy.recorded(read.model_dump_json()) == read
    assert len(read.content_hash()) == 64
    assert len(read.feature_names) == len(read.inputs)
    assert read.held_against
    with pytest.raises(StrategyError) as refused:
        load_strategy(write(tmp_path, fields))
    field = next(str(part) for part in case[1][::-1] if part != "[name]")
    too_long = ("longer than", "larger than", "more than")
    assert any(words in str(refused.value) for words in (field, *too_long))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("schedule",), "never"),
        (("schedule",), "0 0 31 2 *"),
        (("universe", "calendar"), "MOON"),
        (("universe", "start"), "2012-01-03"),  # after its end
        (("universe", "start"), "1700-01-01"),
        (("universe", "end"), "2300-01-01"),
        (("universe", "symbols"), ["IBM", "IBM"]),
        (("universe", "symbols"), ["../x", "IBM"]),
        (("universe", "symbols"), ["IBM"]),  # with nothing to rank it against
        (("walk_forward", "purge"), 1),  # of a horizon of 5
        (("features", 0, "window"), 252),  # beside one that is the same
        (("features", 1, "skip"), 252),
        (("features", 7, "name"), "label"),
        (("features", 7, "function"), "nowhere:own"),
        (("features", 8, "inputs"), {"close": RETURN}),
        (("combinatorial", "test_folds"), 6),
        (("sweep", "parameters", "alpha", "choices"), [2.0, 2.0]),
        (("sweep", "parameters"), {"alpha": {"low": 2.0, "high": 1.0, "log": False}}),
        (("sweep", "parameters"), {"rounds": {"low": 1, "high": 2, "log": False}}),
        (("benchmark",), {"symbol": "../x"}),
    ],
)
def test_nor_is_a_record_asked_what_else_files_are(
    tmp_path: Path, place: Place, value: object
) -> None:
    example = full(EXAMPLES["ridge"])
    if value == 252 and place[1] == 0:
        example["features"].append(RETURN | {"window": 252})
    fields = put(example, place, value)
    assert Strategy.recorded(json.dumps(fields)).model_dump(mode="json") == fields
    with pytest.raises(StrategyError):
        load_strategy(write(tmp_path, fields))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("horizon",), "5"),
        (("horizon",), None),
        (("label", "kind"), "sign"),
        (("model", "kind"), "oracle"),
        (("model", "beta"), 1.0),
        (("features", 0, "windows"), 5),
        (("backtest", "capital"), True),
        (("universe", "start"), "yesterday"),
    ],
)
def test_a_record_of_other_types_or_fields_is_none(place: Place, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        Strategy.recorded(json.dumps(put(full(EXAMPLES["ridge"]), place, value)))
    assert str(place[0]) in str(refused.value)


def test_a_strategy_is_the_same_from_its_record() -> None:
    strategies, _ = load_strategies(SHIPPED)
    assert strategies
    for strategy in strategies.values():
        read = Strategy.recorded(strategy.model_dump_json().encode())
        assert read == strategy
        assert read.content_hash() == strategy.content_hash()


def test_a_record_of_an_average_that_is_too_slow_today_is_trained_again() -> None:
    """What is made of a record is not checked again, either."""
    fields = full(EXAMPLES["ma_crossover"])
    fields |= {
        "model": {"kind": "ma_crossover", "fast": 5, "slow": 3000},
        "sweep": {
            "trials": 2, "batches": 1, "objective": "sharpe",
            "parameters": {"slow": {"choices": [2600, 3000]}},
        },
    }  # fmt: skip
    longest = _longest_trial(Strategy.recorded(json.dumps(fields)))
    assert longest is not None
    assert longest.inputs == (MaRatio.model_construct(fast=5, slow=3000),)
