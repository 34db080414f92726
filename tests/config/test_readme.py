"""What the README shows works as it is shown."""

import re
from pathlib import Path
from typing import Any

from tradewind.market.sources import sample
from tradewind.research.strategy.files import load_strategy
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

    command: Any = get_command(app)
    known = set(command.commands)
    named = set(re.findall(r"`tradewind (\w+)", README.read_text()))
    assert {"up", "train", "doctor"} <= named
    assert named <= known


def _commands(app: Any, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, command in app.commands.items():
        if command.hidden:  # another name of one that is not
            continue
        found |= _commands(command, f"{name} ") if hasattr(command, "commands") else {prefix + name}
    return found


def test_every_command_is_in_the_readme() -> None:
    from typer.main import get_command

    from tradewind.cli import app

    table = README.read_text().split("## Commands")[1].split("## ")[0]
    for command in _commands(get_command(app)):
        assert re.search(rf"`[^`]*\b{command.split()[-1]}\b[^`]*`", table), (
            f"{command} is not there"
        )


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    pages = [
        README,
        README.parent / "CONTRIBUTING.md",
        *sorted((README.parent / "docs").glob("*.md")),
    ]
    assert len(pages) > 8
    for page in pages:
        links = re.findall(r"\]\(([^)#\s]+?)(#[\w-]+)?\)", page.read_text())
        for target, anchor in links:
            if "://" in target:
                continue
            file = page.parent / target
            assert file.exists(), f"{page.name}: {target}"
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE) if anchor else []
            slugs = {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}
            assert not anchor or anchor[1:] in slugs, f"{page.name}: {target}{anchor}"


def test_the_idle_memory_is_told_in_one_place() -> None:
    figure = re.compile(r"idle[^.|\n]{0,60}\d\.\d+ GB|\d\.\d+ GB of it idle", re.IGNORECASE)
    told = {
        page.name
        for page in [README, *(README.parent / "docs").glob("*.md")]
        for line in page.read_text().splitlines()
        if figure.search(line) and "more" not in line
    }
    assert told <= {"performance.md"}
    rows = re.findall(
        r"^\| 8 \| idle memory \| [\d.]+ GB",
        (README.parent / "docs" / "performance.md").read_text(),
        re.MULTILINE,
    )
    assert len(rows) == 1
