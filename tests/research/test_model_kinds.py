"""Kinds of models that installed packages offer by entry points."""

import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Literal

import pytest
from pydantic import ValidationError

from tradewind.errors import ResearchError
from tradewind.research.models.model import code_of
from tradewind.research.strategy import models
from tradewind.research.strategy.models import GROUP, LightGbm, ModelFields


class Offered(ModelFields):
    kind: Literal["offered"]


def offer(*points: tuple[str, str]) -> list[type[ModelFields]]:
    return models._offered(EntryPoint(name, value, GROUP) for name, value in points)


def test_a_strangers_kind_stands_beside_ours() -> None:
    ours = ("lightgbm", "tradewind.research.strategy.models:LightGbm")
    assert offer(ours, ("offered", f"{__name__}:Offered")) == [LightGbm, Offered]


@pytest.mark.parametrize(
    ("points", "why"),
    [
        (["nowhere.at_all:Model"], "cannot be imported from nowhere.at_all:Model: ModuleNotFound"),
        (["json:loads"], "is json:loads, which is no subclass of ModelFields"),
        ([f"{__name__}:Offered"], "whose field kind is not Literal['mine']"),
        (["json:loads", "json:dumps"], "is offered more than once, by json:dumps, json:loads"),
    ],
)
def test_one_that_cannot_be_used_says_so_where_it_is_named(points: Sequence[str], why: str) -> None:
    [found] = offer(*(("mine", value) for value in points))
    with pytest.raises(ValidationError, match="the kind 'mine' ") as refused:
        found.model_validate({"kind": "mine", "anything": 1})
    assert why in str(refused.value)


def test_without_any_the_installation_is_called_broken() -> None:
    with pytest.raises(ImportError, match="install tradewind again"):
        offer()


@pytest.mark.parametrize("kind", models._offered(), ids=lambda kind: str(kind.__name__))
def test_each_shipped_kind_has_its_functions(kind: type[ModelFields]) -> None:
    code = code_of(kind.model_construct(kind=""))
    for name in ("share", "fit", "predict", "importance", "learnt"):
        assert callable(getattr(code, name))
    assert code.FLAVOUR
    assert code.PACKAGES


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("def fit(:", "cannot be imported: SyntaxError"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        ("FLAVOUR = 'rule'", "lacks PACKAGES, LEARNS, share, fit, predict, importance, learnt"),
        (None, "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_a_strangers_functions_that_cannot_be_used_are_named(
    source: str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"strange_{abs(hash(source))}"
    monkeypatch.syspath_prepend(str(tmp_path))
    if source is not None:
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setattr(Offered, "code", name)
    with pytest.raises(ResearchError, match="the model offered is computed by") as refused:
        code_of(Offered(kind="offered"))
    assert why in str(refused.value)


@pytest.mark.parametrize("kind", sorted(each.name for each in entry_points(group=GROUP)))
def test_a_kind_can_be_used_whose_module_a_process_imports_first(kind: str) -> None:
    [entry] = entry_points(group=GROUP, name=kind)
    look = (
        f"import {entry.module}\nfrom typing import get_args\n"
        "from tradewind.research.strategy.models import ModelSpec\n"
        "print(*(each.__name__ for each in get_args(get_args(ModelSpec)[0])))"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert entry.attr in done.stdout.split()
    assert "Unusable" not in done.stdout.split()
