"""What `up` refuses before it starts anything."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.errors import StackError
from tradewind.settings import Settings
from tradewind.stack import lifecycle

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("start", [lifecycle.run, lifecycle.detach])
@pytest.mark.parametrize("name", ["a[b", "%41", "a%(b"])
def test_a_folder_that_cannot_be_used_is_refused_before_it_is_made(
    tmp_path: Path, start: Callable[[Settings], object], name: str
) -> None:
    settings = Settings(home=CHECKOUT, state_dir=tmp_path / name)
    with pytest.raises(StackError, match="state directory cannot be used under this name"):
        start(settings)
    assert list(tmp_path.iterdir()) == []
