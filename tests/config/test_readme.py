"""What the README shows works as it is shown."""

import re
from pathlib import Path

from tradewind.market import sample
from tradewind.research.strategy_files import load_strategy
from tradewind.research.training import train

README = Path(__file__).parents[2] / "README.md"


def test_the_strategy_of_the_readme_can_be_trained(tmp_path: Path) -> None:
    found = re.findall(r"```yaml\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(found) == 1
    path = tmp_path / "mine.yaml"
    path.write_text(found[0])
    strategy = load_strategy(path)
    result = train(sample.load(strategy.universe.symbols), strategy)
    assert len(result.folds) >= 3


def test_every_command_of_the_readme_exists() -> None:
    from typer.main import get_command

    from tradewind.cli import app

    known = set(get_command(app).commands)
    named = set(re.findall(r"`tradewind (\w+)", README.read_text()))
    assert {"up", "train", "doctor"} <= named
    assert named <= known
