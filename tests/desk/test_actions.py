"""Corporate actions, as a source tells them, from its file to the table."""

from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.vendors.tiingo_server import TiingoServer
from tradewind import cli
from tradewind.desk import data
from tradewind.errors import SourceError
from tradewind.market.sources import sample
from tradewind.settings import load_settings


def test_actions_of_a_vendor_are_listed_and_a_kind_without_them_says_so(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEWIND_HOME", str(checkout))
    monkeypatch.setenv("TRADEWIND_TIINGO_KEY", TiingoServer.key)
    with TiingoServer(sample.load(["AAPL", "IBM"])).running() as vendor:
        (checkout / "sources" / "live.yaml").write_text(
            "name: live\nkind: tiingo\nschedule: null\n"
            f"options: {{symbols: [AAPL, IBM], base_url: '{vendor.url}'}}\n"
        )
        found = data.actions(load_settings(), "live", ["AAPL"], since=date(2005, 1, 3))
        split = data.Action("AAPL", "split", date(2005, 2, 28), None, 2.0, None)
        assert split in found
        assert {each.kind for each in found} == {"split", "dividend"}
        shown = CliRunner().invoke(
            cli.app, ["data", "actions", "live", "AAPL", "--since", "2005-01-03"]
        )
    assert shown.exit_code == 0, shown.output
    assert "2005-02-28" in shown.output
    assert "not said" in shown.output
    with pytest.raises(SourceError, match="of kind 'sample', which tells no corporate actions"):
        data.actions(load_settings(), "sample")
