import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import BaseModel, Field

from tradewind.strict_json import dumps


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


@dataclass(frozen=True)
class Inner:
    day: date
    figure: float


class Spec(BaseModel):
    figure: float
    start: date


class Days(BaseModel):
    from_: date = Field(alias="from")


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None), (math.inf, None), (-math.inf, None), (0.1, 0.1), (-0.0, -0.0),
        (1e308, 1e308), (5e-324, 5e-324), (2**70, 2**70), (True, True), (None, None),
        ("NaN", "NaN"), ("ü \x00 \ud800", "ü \x00 \ud800"),
        (date(2012, 1, 31), "2012-01-31"),
        (datetime(2012, 1, 31, 12, tzinfo=UTC), "2012-01-31T12:00:00+00:00"),
        (timedelta(minutes=1.5), 90.0), (Decimal("1000000.00"), "1000000.00"),
        (Decimal("1E+3"), "1000"), (Decimal("NaN"), None), (Decimal("-Infinity"), None),
        (Path("/a/b"), "/a/b"), (Colour.RED, "red"), (Level.HIGH, 3),
        (Inner(date(2012, 1, 3), math.nan), {"day": "2012-01-03", "figure": None}),
        (Spec(figure=math.inf, start=date(2012, 1, 3)), {"figure": None, "start": "2012-01-03"}),
        (Days.model_validate({"from": "2012-01-03"}), {"from": "2012-01-03"}),
        ({"a": [(1, math.nan), {"b": math.inf}]}, {"a": [[1, None], {"b": None}]}),
        ({date(2012, 1, 3): 1, 2: 2, None: 3}, {"2012-01-03": 1, "2": 2, "null": 3}),
        (frozenset({"b", "a"}), ["a", "b"]),
        (np.float64("nan"), None), (np.float32(0.5), 0.5), (np.int64(7), 7), (np.bool_(True), True),
        (np.str_("x"), "x"), (np.array([1.0, np.nan]), [1.0, None]),
        (np.datetime64("2012-01-31"), "2012-01-31"),
        (pl.Series([1.0, math.nan, None]), [1.0, None, None]),
        (pl.DataFrame({"day": [date(2012, 1, 3)], "v": [math.inf]}),
         [{"day": "2012-01-03", "v": None}]),
    ],
)  # fmt: skip
def test_a_value_is_json_that_every_reader_takes(value: object, expected: object) -> None:
    assert strict(dumps(value)) == expected
    assert strict(dumps({"inside": [value]}, indent=2)) == {"inside": [expected]}


@pytest.mark.parametrize("value", [object(), b"bytes", {(1, 2): 3}, 1j, lambda: 1, Inner])
def test_what_has_no_form_in_json_is_refused_and_not_made_text(value: object) -> None:
    with pytest.raises(TypeError, match="has no form in JSON"):
        dumps(value)
