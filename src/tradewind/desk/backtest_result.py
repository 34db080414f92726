"""What a backtest found, to be worked on with and to be looked at."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final, overload

from tradewind.desk.shown import Column, Right, Shown, Table
from tradewind.errors import ResearchError

if TYPE_CHECKING:
    import polars as pl

    from tradewind.desk.research import Judged
    from tradewind.research.evaluation.walk_forward import FoldResult
    from tradewind.research.tearsheet.report import Report
    from tradewind.research.training import TrainingResult

__all__ = ["Backtest"]

_DPI: Final = 75  # of ten inches: as wide as a notebook's cell


@dataclass(frozen=True, repr=False)
class Backtest(Shown):
    """A strategy as its file was, judged out of sample after costs.

    Returned by `tradewind.Desk.backtest` and `tradewind.Desk.judge`. Shows its figures, and in
    Jupyter equity and drawdown.

    Parameters
    ----------
    judged : Judged
    provenance : mapping of str to str
        Code and packages that it was computed with.
    """

    judged: "Judged"
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The strategy's."""
        return self._result.strategy.name

    @property
    def snapshot_id(self) -> str:
        """The bars that it was judged on, by which they can be read again for ever."""
        return self.judged.bars.snapshot_id

    @property
    def metrics(self) -> dict[str, float]:
        """Figures over all test windows in a row, by name.

        Returns, drawdowns and costs are fractions, 0.1 for 10 %; see
        `tradewind.research.statistics.performance` and `tradewind.research.training` for each.
        """
        return self._result.metrics

    @property
    def folds(self) -> "tuple[FoldResult, ...]":
        """The test windows, oldest first, each with its own figures."""
        return self._result.folds

    @property
    def equity(self) -> "pl.DataFrame":
        """A row a session: equity, drawdown, returns, costs and the benchmark.

        As returned by `tradewind.research.backtest.run.run_backtest`; equity is in units of the
        capital that it began with.
        """
        return self._result.equity

    @cached_property
    def weights(self) -> "pl.DataFrame":
        """The weights wanted after each session's close: symbol, session, weight.

        A weight is a fraction of equity, negative for a short position.
        """
        return self._result.wanted_weights()

    @property
    def verdict(self) -> str:
        """Whether it is better than its benchmark, in words; empty where nobody knows."""
        return self.judged.verdict

    @overload
    def tear_sheet(self) -> str: ...

    @overload
    def tear_sheet(self, path: str | PathLike[str]) -> Path: ...

    def tear_sheet(self, path: str | PathLike[str] | None = None) -> str | Path:
        """Return the tear sheet as HTML, or write it to a file and return the file.

        Parameters
        ----------
        path : path-like, optional
            The file to write; it is one page that needs nothing else, no network either.

        Raises
        ------
        ResearchError
            If the file cannot be written.
        """
        from tradewind.research.tearsheet.page import page

        html = page(self._report)
        if path is None:
            return html
        file = Path(path).absolute()
        try:
            file.write_text(html, encoding="utf-8")
        except OSError as error:
            raise ResearchError(
                f"the tear sheet cannot be written to {file}: {error.strerror or error}. Name "
                "another file, in a folder that exists"
            ) from error
        return file

    def table(self) -> Table:
        """Return the figures that are looked at first, with their units."""
        from tradewind.research.tearsheet.report import figures_in_words

        days = self.equity.get_column("session")
        return Table(
            (Column("out of sample, after costs"), Right("strategy"), Right("benchmark")),
            tuple(figures_in_words(self._report)),
            title=f"{self.name}: {days[0]} to {days[-1]}, {len(self.folds)} test windows",
            note=f"{self.verdict}." if self.verdict else "",
        )

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self.table().as_html() + (
            f'<img alt="Equity and drawdown of {self.name}" '  # a name has no quotes
            f'src="data:image/png;base64,{base64.b64encode(self._picture).decode()}">'
        )

    @property
    def _result(self) -> "TrainingResult":
        return self.judged.trained.result

    @cached_property
    def _report(self) -> "Report":
        from tradewind.research.tearsheet.report import report_of

        return report_of(
            self._result,
            findings=self.judged.bars.findings,
            snapshot_id=self.snapshot_id,
            provenance=self.provenance,
        )

    @cached_property
    def _picture(self) -> bytes:
        from tradewind.research.tearsheet.plots import equity_and_drawdown

        starts = [fold.test_start for fold in self.folds]
        figure = equity_and_drawdown(self.equity, self.name, fold_starts=starts)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=_DPI)
        return drawn.getvalue()
