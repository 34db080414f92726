"""What the author of a wrong file is told, whole: file, line, field, value, what to write."""

# ruff: noqa: E501 - what is told is compared whole, a problem a line

from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tradewind.errors import TradewindError
from tradewind.market.sources.source import load_source, open_source
from tradewind.research.strategy.features import FeatureSpec, Rank
from tradewind.research.strategy.files import load_strategy
from tradewind.research.strategy.judging import Gate
from tradewind.research.strategy.strategy import Strategy
from tradewind.specs.words import kinds
from tradewind.vendor_keys import KINDS

STRATEGY = """\
name: good
description: the least a strategy says
universe: {source: sample, symbols: [IBM, MSFT]}
horizon: 5
features:
  - return: {window: 5}
model: {kind: lightgbm}
walk_forward: {train: 504, test: 126}
backtest: {commission_bps: 1, slippage_bps: 4}
"""
SOURCE = """\
name: good
kind: files
options:
  path: data/*.csv
  symbol: {file_name: stem}
  session: {column: Date, format: "%Y-%m-%d"}
  adjustment: none
"""

# What the models have by now is not this test's to say.
FIELDS = ", ".join(Strategy.model_fields)
FEATURES = ", ".join(kinds(FeatureSpec))
RANKED = ", ".join(kinds(Rank.model_fields["of"].annotation))
SIGNS = (
    "one of ',', '.', \"'\", '\u2019', ' ', \"\\u00a0\" (no-break space), "
    "\"\\u202f\" (narrow no-break space), '_', or null"
)


def told(directory: Path, text: str, what: str) -> list[str]:
    """Return what is wrong with a file, a line a problem, without the directory."""
    (directory / "sources").mkdir()
    path = directory / "sources" / "good.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TradewindError) as caught:
        load_strategy(path) if what == "strategy" else open_source(load_source(path))
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}:") for line in lines), lines
    return [line.removeprefix(f"{path}:").strip() for line in lines]


STRATEGIES: list[tuple[str, str, list[str]]] = [
    (
        "[IBM, MSFT]",
        "[IBM, TRUE, 7203, 1E5, null, ~, 2012-01-01, NO, 1e5, .nan, -3]",
        [
            "3: universe.symbols.1: must be text, not TRUE, which YAML takes for true: write it in quotes: 'TRUE'",
            "3: universe.symbols.2: must be text, not 7203, which YAML takes for a number: write it in quotes: '7203'",
            "3: universe.symbols.3: must be text, not 1E5, which YAML takes for a number: write it in quotes: '1E5'",
            "3: universe.symbols.4: must be text, not null, which YAML takes for nothing: write it in quotes: 'null'",
            "3: universe.symbols.5: must be text, not ~, which YAML takes for nothing: write it in quotes: '~'",
            "3: universe.symbols.8: must be text, not 1e5, which YAML takes for a number: write it in quotes: '1e5'",
            "3: universe.symbols.9: must be text, not .nan, which YAML takes for a number: write it in quotes: '.nan'",
            "3: universe.symbols.10: must be text, not -3, which YAML takes for a number: write it in quotes: '-3'",
        ],
    ),
    (
        "horizon: 5",
        "horizon: '5'",
        ["4: horizon: must be a whole number from 1 to 252, not '5': write it without quotes: 5"],
    ),
    (
        "horizon: 5",
        "horizon: 5.0",
        ["4: horizon: must be a whole number from 1 to 252, not 5.0: write 5"],
    ),
    (
        "horizon: 5",
        "horizon: five",
        ["4: horizon: must be a whole number from 1 to 252, not 'five'"],
    ),
    ("horizon: 5", "horizon: true", ["4: horizon: must be a whole number from 1 to 252, not true"]),
    (
        "horizon: 5",
        "horizon:",
        ["4: horizon: must be a whole number from 1 to 252, but has no value"],
    ),
    ("horizon: 5\n", "", ["horizon: is missing; it must be a whole number from 1 to 252"]),
    ("horizon: 5", "horizon: 300", ["4: horizon: must be a whole number from 1 to 252, not 300"]),
    (
        "horizon: 5",
        "horizon: 010",
        ["4: horizon: must be a whole number from 1 to 252, not '010': write 10"],
    ),
    (
        "name: good",
        "name: Müller",
        [
            "1: name: 'Müller' must equal the file's name, 'good'",
            "1: name: must be lower-case letters a to z, digits and _, a letter first, 50 characters at most, not 'Müller'",
        ],
    ),
    (
        "name: good",
        "name: other\nhorizn: 4",
        [
            "1: name: 'other' must equal the file's name, 'good'",
            "2: horizn: unknown field. Did you mean horizon?",
        ],
    ),
    (
        "name: good",
        "name: 5",
        [
            "1: name: must be lower-case letters a to z, digits and _, a letter first, 50 characters at most, not 5, which YAML takes for a number: write it in quotes: '5'"
        ],
    ),
    (
        "name: good",
        "name: good\ncommission_bps: 3",
        ["2: commission_bps: unknown field. Did you mean backtest.commission_bps?"],
    ),
    (
        "name: good",
        "name: good\ncolour: red",
        [f"2: colour: unknown field. Known are: {FIELDS}."],
    ),
    (
        "return: {window: 5}",
        "macd: {fast: 12}",
        [f"6: features.0: there is no feature 'macd'. There are: {FEATURES}."],
    ),
    (
        "return: {window: 5}",
        "volatilty: {window: 12}",
        [
            f"6: features.0: there is no feature 'volatilty'. Did you mean volatility? There are: {FEATURES}."
        ],
    ),
    (
        "return: {window: 5}",
        "return",
        ["6: features.0: write a feature with its parameters, such as: return: {window: 5}"],
    ),
    (
        "return: {window: 5}",
        "return: 5",
        ["6: features.0: write the parameters of return in braces, such as: return: {window: 5}"],
    ),
    (
        "return: {window: 5}",
        "return: {windw: 5}",
        [
            "6: features.0.return.window: is missing; it must be a whole number from 1 to 2520",
            "6: features.0.return.windw: unknown field. Did you mean window?",
        ],
    ),
    (
        "return: {window: 5}",
        "{return: {window: 5}, rsi: {window: 14}}",
        ["6: features.0: write one feature an entry, such as: return: {window: 5}"],
    ),
    (
        "return: {window: 5}",
        "rank: {of: return}",
        [
            "6: features.0.rank.of: write a feature with its parameters, such as: return: {window: 5}"
        ],
    ),
    (
        "return: {window: 5}",
        "rank: {of: {retrn: {window: 5}}}",
        [
            f"6: features.0.rank.of: there is no feature 'retrn'. Did you mean return? There are: {RANKED}."
        ],
    ),
    (
        "return: {window: 5}",
        'custom: {name: a, function: "foo.bar"}',
        [
            "6: features.0.custom.function: must be module:function, such as my_features:gap, 200 characters at most, not 'foo.bar'"
        ],
    ),
    (
        "return: {window: 5}",
        "kind: return",
        ["6: features.0.window: is missing; it must be a whole number from 1 to 2520"],
    ),
    (
        "kind: lightgbm",
        "kind: LightGBM",
        [
            "7: model: there is no kind 'LightGBM'. Did you mean lightgbm? There are: custom, estimator, external, lightgbm, ma_crossover, ridge, rule."
        ],
    ),
    (
        "kind: lightgbm",
        "kind: forest",
        [
            "7: model: there is no kind 'forest'. There are: custom, estimator, external, lightgbm, ma_crossover, ridge, rule."
        ],
    ),
    (
        "kind: lightgbm",
        "type: ridge",
        [
            "7: model: has no kind; name one of custom, estimator, external, lightgbm, ma_crossover, ridge, rule"
        ],
    ),
    (
        "{kind: lightgbm}",
        "lightgbm",
        ["7: model: must be a mapping such as {kind: lightgbm}, not 'lightgbm'"],
    ),
    (
        "{kind: lightgbm}",
        "[lightgbm]",
        [
            "7: model: must be a mapping whose kind is one of custom, estimator, external, lightgbm, ma_crossover, ridge, rule, not a list of 1"
        ],
    ),
    (
        "kind: lightgbm",
        "kind: lightgbm, learning_rat: 0.1, alpha: 3, lambda_l2: .inf",
        [
            "7: model.lambda_l2: must be a number, not .inf",
            "7: model.learning_rat: unknown field. Did you mean learning_rate?",
            "7: model.alpha: unknown field. Known are: weights, objective, rounds, learning_rate, num_leaves, min_data_in_leaf, feature_fraction, bagging_fraction, lambda_l2, early_stopping.",
        ],
    ),
    (
        "kind: lightgbm",
        "kind: lightgbm, objective: rank",
        ["7: model.objective: must be one of regression, lambdarank, not 'rank'"],
    ),
    (
        "kind: lightgbm",
        "kind: ma_crossover, fast: 50, slow: 20",
        ["7: model: fast (50) must be less than slow (20)"],
    ),
    (
        "kind: lightgbm",
        "kind: ma_crossover, fast: 5, slow: 20",
        ["5: features: the model ma_crossover brings its own feature; list none"],
    ),
    (
        "name: good",
        "name: good\nlabel: sign",
        ["2: label: must be one of forward_return, direction, not 'sign'"],
    ),
    (
        "name: good",
        "name: good\nlabel: {kind: direction, after_cost: yes}",
        ["2: label.after_cost: unknown field. Did you mean after_costs?"],
    ),
    (
        "name: good",
        "name: good\nlabel: {kind: direction, after_costs: maybe}",
        ["2: label.after_costs: must be true or false, not 'maybe': write true or false"],
    ),
    (
        "MSFT]",
        "MSFT], start: 2010-02-30",
        [
            "3: universe.start: must be a date such as 2012-01-31, from 1800-01-01 to 2199-12-31, or null, not '2010-02-30'"
        ],
    ),
    (
        "MSFT]",
        "MSFT], start: 20100101",
        [
            "3: universe.start: must be a date such as 2012-01-31, from 1800-01-01 to 2199-12-31, or null, not 20100101"
        ],
    ),
    (
        "MSFT]",
        "MSFT], start: 31.12.2010",
        [
            "3: universe.start: must be a date such as 2012-01-31, from 1800-01-01 to 2199-12-31, or null, not '31.12.2010'"
        ],
    ),
    (
        "[IBM, MSFT]",
        "IBM",
        ["3: universe.symbols: must be a list of texts, 1 to 5000, not 'IBM': write [IBM]"],
    ),
    (
        "[IBM, MSFT]",
        "[]",
        ["3: universe.symbols: must be a list of texts, 1 to 5000, not an empty list"],
    ),
    ("[IBM, MSFT]", "[IBM, IBM]", ["3: universe.symbols: listed more than once: IBM"]),
    (
        "[IBM, MSFT]",
        "{IBM: 1}",
        [
            "3: universe.symbols: must be a list of texts, 1 to 5000, not a mapping (IBM): begin each entry with `- `"
        ],
    ),
    (
        "name: good",
        "name: good\nsweep: {trials: 5, parameters: {learning_rat: {low: 1, high: 2}}}",
        [
            "2: sweep.parameters.learning_rat: the model has no such parameter. Did you mean learning_rate?"
        ],
    ),
    (
        "name: good",
        "name: good\nsweep: {trials: 5, parameters: {learning_rate: {low: 1, high: 2}}}",
        [
            "2: sweep.parameters.learning_rate: the model cannot take 2: must be a number from 0.000001 to 1, not 2"
        ],
    ),
    (
        "name: good",
        "name: good\nsweep: {trials: 5, parameters: {learning_rate: [1, 2]}}",
        [
            "2: sweep.parameters.learning_rate: must be a mapping of low, high, log, or a mapping of choices, not a list of 2"
        ],
    ),
    (
        "name: good",
        "name: good\nsweep: {trials: 5, parameters: {learning_rate: {low: 0.1, hihg: '0.2'}, num_leaves: {choice: [3, 4]}}}",
        [
            "2: sweep.parameters.learning_rate.high: is missing; it must be a number",
            "2: sweep.parameters.learning_rate.hihg: unknown field. Did you mean high?",
            "2: sweep.parameters.num_leaves.choices: is missing; it must be a list, 2 to 1000",
            "2: sweep.parameters.num_leaves.choice: unknown field. Did you mean choices?",
        ],
    ),
    (
        "name: good",
        "name: good\ngate: {min_deflated_sharpe: 95, promotion: manual, min_sharpe: 1}",
        [
            "2: gate.min_deflated_sharpe: must be a number from 0 to 1 or null, not 95",
            "2: gate.promotion: must be one of automatic, approval, not 'manual'",
            "2: gate.min_sharpe: unknown field. Did you mean min_deflated_sharpe?",
        ],
    ),
    (
        "name: good",
        "name: good\nschedule: daily",
        [
            "2: schedule: 'daily' is no cron expression: minute hour day month weekday, such as \"0 22 * * 1-5\"; to train whenever there are new bars: on_new_bars"
        ],
    ),
    (
        "name: good",
        "name: good\nname: good",
        ["2:1: key 'name' is there twice, first in line 1: take one out"],
    ),
    ("name: good", "name: good\n\thorizon: 4", ["2:1: a tab; YAML is indented with spaces"]),
    (
        "name: good",
        "name: good: bad",
        ["1:11: a second `: ` in one line; put the text in quotes, or begin a new line"],
    ),
    ("[IBM, MSFT]}", "[IBM, MSFT", ["3:37: a comma or the closing ] is missing before this"]),
    ("horizon: 5", "'horizon: 5", ["4:1: the closing quote of a text is missing"]),
    ("horizon: 5", "horizon 5", ["4:1: no `field: value`; a colon is missing"]),
    (
        "horizon: 5",
        "  horizon: 5",
        ["4:3: this line stands further left or right than those before it"],
    ),
    ("horizon: 5", "true: 5", ["4:1: key True is not text: write it in quotes: 'true'"]),
    ("horizon: 5", "horizon: @5", ["4:10: a text that begins with @ must stand in quotes"]),
    (
        "horizon: 5",
        "horizon: *x",
        ["4:10: aliases are not allowed; put a text that begins with * in quotes"],
    ),
    (
        "horizon: 5",
        "horizon: !!int 5",
        ["4:10: tags are not allowed; put a text that begins with ! in quotes"],
    ),
    (
        "features:\n  - return: {window: 5}",
        "features: {return: {window: 5}}",
        [
            "5: features: must be a list, 500 at most, not a mapping (return): begin each entry with `- `"
        ],
    ),
    (
        "return: {window: 5}",
        'custom: {name: a, function: "m:f", parameters: {a: {b: 1}, c: null}}',
        [
            "6: features.0.custom.parameters.a: must be true or false, a number or text, not a mapping (b)",
            "6: features.0.custom.parameters.c: must be true or false, a number or text, not null",
        ],
    ),
    (
        "{kind: lightgbm}",
        "{kind: null}",
        [
            "7: model: there is no kind 'null'. There are: custom, estimator, external, lightgbm, ma_crossover, ridge, rule."
        ],
    ),
    (
        "name: good",
        "name: good\ngate:\nmonitor: []",
        [
            "2: gate: must be a mapping of " + ", ".join(Gate.model_fields) + ", but has no value",
            "3: monitor: must be a mapping of sessions, max_psi, max_ks, min_performance, not an empty list",
        ],
    ),
    (
        "commission_bps: 1",
        "commission_bps: 1, capital: '1_000'",
        [
            "9: backtest.capital: must be a number from 1 to 1000000000000, not '1_000': write it without quotes: 1000"
        ],
    ),
    (
        "[IBM, MSFT]",
        '[IBM, ""]',
        ["3: universe.symbols.1: must be text of 1 to 32 characters, not ''"],
    ),
    (
        "name: good",
        "name: good\nbenchmark: SPY",
        [
            "2: benchmark: must be one of equal_weight, cash, or a mapping of symbol or null, not 'SPY': write {symbol: SPY}"
        ],
    ),
    (
        "name: good",
        "name: good\nbenchmark: equal_wieght",
        [
            "2: benchmark: must be one of equal_weight, cash, or a mapping of symbol or null, not 'equal_wieght'. Did you mean equal_weight?"
        ],
    ),
    (
        "name: good",
        "name: good\nbenchmark: {symbl: SPY}",
        [
            "2: benchmark.symbol: is missing; it must be text of 1 to 32 characters",
            "2: benchmark.symbl: unknown field. Did you mean symbol?",
        ],
    ),
    (
        "name: good",
        "name: good\nbenchmark: [SPY]",
        [
            "2: benchmark: must be one of equal_weight, cash, or a mapping of symbol or null, not a list of 1"
        ],
    ),
    (
        "name: good",
        "name: good\nmissing:",
        ["2: missing: must be one of refuse, drop_row, hold, but has no value"],
    ),
    (
        "return: {window: 5}",
        'across: {name: a, function: "m:f", inputs: {A: {return: {window: 5}}, b: 5}}',
        [
            "6: features.0.across.inputs.A: the name must be lower-case letters a to z, digits and _, a letter first, 50 characters at most, not 'A'",
            "6: features.0.across.inputs.b: write a feature with its parameters, such as: return: {window: 5}",
        ],
    ),
]
SOURCES: list[tuple[str, str, list[str]]] = [
    (
        "kind: files",
        "kind: file",
        [
            "2: kind: no kind of source named 'file' is installed (entry points of the group tradewind.sources). Did you mean files?"
        ],
    ),
    (
        "kind: files",
        "kind: files\nshedule: after_close",
        ["3: shedule: unknown field. Did you mean schedule?"],
    ),
    (
        "kind: files",
        "kind: files\nschedule: hourly",
        ["3: schedule: must be after_close or null, not 'hourly'"],
    ),
    (
        "kind: files",
        "kind: files\ncalender: XNYS",
        ["3: calender: unknown field. Did you mean calendar?"],
    ),
    (
        "adjustment: none",
        "adjustment: nothing",
        [
            "7: options.adjustment: must be one of adj_close, factors, splits, already_adjusted, none, not 'nothing'"
        ],
    ),
    (
        "  adjustment: none\n",
        "",
        [
            "3: options.adjustment: is missing; it must be one of adj_close, factors, splits, already_adjusted, none"
        ],
    ),
    (
        "{file_name: stem}",
        "stem",
        ["5: options.symbol: must be a mapping of column, columns, file_name, not 'stem'"],
    ),
    (
        "{file_name: stem}",
        "{column: a, file_name: stem}",
        ["5: options.symbol: give either column or file_name, or columns for a wide file"],
    ),
    (
        "adjustment: none",
        "adjustment: adj_close",
        ["3: options.columns.adj_close: adjustment 'adj_close' needs this column"],
    ),
    (
        "adjustment: none",
        "adjustment: none\n  csv: {seperator: ';'}",
        ["8: options.csv.seperator: unknown field. Did you mean separator?"],
    ),
    (
        "adjustment: none",
        "adjustment: none\n  csv: {separator: ';;', null_values: [NA, null, 0, -]}",
        [
            "8: options.csv.separator: must be one character, not ';;'",
            "8: options.csv.null_values.1: must be text, not null, which YAML takes for nothing: write it in quotes: 'null'",
            "8: options.csv.null_values.2: must be text, not 0, which YAML takes for a number: write it in quotes: '0'",
        ],
    ),
    (
        "adjustment: none",
        "adjustment: none\n  columns: {open: 1, Close: x}",
        [
            "8: options.columns.open: must be text, not 1, which YAML takes for a number: write it in quotes: '1'",
            "8: options.columns.Close: unknown field. Did you mean close?",
        ],
    ),
    (
        "adjustment: none",
        "adjustment: none\n  csv: {decimal: ';', thousands: x, skip_lines: -1}",
        [
            "8: options.csv.decimal: must be one of '.', ',', not ';'",
            f"8: options.csv.thousands: must be {SIGNS}, not 'x'",
            "8: options.csv.skip_lines: must be a whole number from 0 to 1000, not -1",
        ],
    ),
    (
        "kind: files",
        "kind: files\naccept: [{symbol: TRUE, session: 2012-13-01, rule: outliers, reason: x}]",
        [
            "3: accept.0.symbol: must be text, not TRUE, which YAML takes for true: write it in quotes: 'TRUE'",
            "3: accept.0.session: must be a date such as 2012-01-31, from 1800-01-01 to 2199-12-31, or null, not '2012-13-01'",
            "3: accept.0.rule: no rule named 'outliers'; there are closes_only, copied_symbol, ended_early, factor_step, large_move, missing_session, ohlc_order, outlier, quorum_action, quorum_price, quorum_session, quorum_volume, range, repeated_bar, split_ratio, stale_close, unadjusted_split, unit_shift, volume_jump, zero_volume",
        ],
    ),
    (
        "kind: files",
        "kind: files\naccept: {symbol: X}",
        [
            "3: accept: must be a list of mappings of symbol, symbols, session, from, to, rule, take, reason, not a mapping (symbol): begin each entry with `- `"
        ],
    ),
    (
        "kind: files",
        "kind: files\naccept: [{symbols: [A, 5], from: 20200101, to: x, rule: outlier, reason: x}]",
        [
            "3: accept.0.symbols.1: must be text, not 5, which YAML takes for a number: write it in quotes: '5'",
            "3: accept.0.from: must be a date such as 2012-01-31, from 1800-01-01 to 2199-12-31, or null, not 20200101",
            "3: accept.0.to: must be a date such as 2012-01-31, from 1800-01-01 to 2199-12-31, or null, not 'x'",
        ],
    ),
    (
        "kind: files",
        "kind: files\naccept: [{symbols: alll, session: 2020-01-01, rule: outlier, reason: x}]",
        [
            "3: accept.0.symbols: must be all, a list of texts or null, not 'alll'. Did you mean all?"
        ],
    ),
    (
        "kind: files",
        "kind: files\nsessions: {closed: [{form: 2020-01-27, to: 2020-01-28, reason: x}]}",
        ["3: sessions.closed.0.form: unknown field. Did you mean from?"],
    ),
    (
        "kind: files",
        "kind: files\nsessions: {closed: [{days: 2020-13-01}], open: [2023-11-12]}",
        [
            "3: sessions.closed.0.days: must be a date such as 2012-01-31, from 1800-01-01 to 2199-12-31, not '2020-13-01'",
            "3: sessions.closed.0.reason: is missing; it must be text of 1 to 500 characters",
            "3: sessions.open.0: must be a mapping of days, from, to, reason, open, close, not '2023-11-12'",
        ],
    ),
    (
        "kind: files",
        'kind: files\nsessions: {open: [{days: 2023-11-12, close: "25:15", reason: x}]}',
        ["3: sessions.open.0.close: must be a time such as 13:30 or null, not '25:15'"],
    ),
    (
        "adjustment: none",
        'adjustment: none\n  csv: {thousands: "\\u2009", header: Date}',
        [
            f'8: options.csv.thousands: must be {SIGNS}, not "\\u2009" (thin space)',
            "8: options.csv.header: must be a list of texts, 2 to 1000, or null, not 'Date'",
        ],
    ),
    (
        "{file_name: stem}",
        "{columns: alll}",
        [
            "5: options.symbol.columns: must be all or a list of texts, 1 or more, or null, not 'alll'. Did you mean all?"
        ],
    ),
    (
        "kind: files",
        "kind: files\nbackdate: sometimes",
        ["3: backdate: must be true or false, not 'sometimes': write true or false"],
    ),
    (
        "kind: files",
        "kind: sample",
        [
            "4: options.path: unknown field. Known are: none.",
            "5: options.symbol: unknown field. Known are: none.",
            "6: options.session: unknown field. Known are: none.",
            "7: options.adjustment: unknown field. Known are: none.",
        ],
    ),
    (
        "kind: files",
        "kind: nope",
        [
            "2: kind: no kind of source named 'nope' is installed (entry points of the group "
            f"tradewind.sources). There are: {', '.join(sorted(entry_points(group=KINDS).names))}."
        ],
    ),
    ("kind: files", "name: x", ["2:1: key 'name' is there twice, first in line 1: take one out"]),
    (
        '  session: {column: Date, format: "%Y-%m-%d"}',
        "  session: Date",
        ["6: options.session: must be a mapping of column, format, time_zone, not 'Date'"],
    ),
    (
        "kind: files\noptions:",
        "kind: files\noptions: x\nopt:",
        ["3: options: must be a mapping, not 'x'", "4: opt: unknown field. Did you mean options?"],
    ),
    (
        'format: "%Y-%m-%d"',
        "format: %Y-%m-%d",
        ["6:35: a text that begins with % must stand in quotes"],
    ),
    (
        'format: "%Y-%m-%d"',
        'format: "%Y-%m-%d %H:%M"',
        [
            "6: options.session.time_zone: %Y-%m-%d %H:%M holds a time of day; name its zone, such as UTC, or as_written if the date is the session whatever the time"
        ],
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), STRATEGIES)
def test_the_author_of_a_wrong_strategy_is_told(
    tmp_path: Path, old: str, new: str, expected: list[str]
) -> None:
    assert old in STRATEGY
    assert told(tmp_path, STRATEGY.replace(old, new), "strategy") == expected


@pytest.mark.parametrize(("old", "new", "expected"), SOURCES)
def test_the_author_of_a_wrong_source_is_told(
    tmp_path: Path, old: str, new: str, expected: list[str]
) -> None:
    assert old in SOURCE
    assert told(tmp_path, SOURCE.replace(old, new), "source") == expected


def test_a_model_of_pydantic_is_never_quoted(tmp_path: Path) -> None:
    jargon = (
        "Input",
        "input",
        "permitted",
        "discriminator",
        "expected tag",
        "Value error",
        "valid ",
        "None",
        "literal[",
        "from_",
    )
    cases = [(STRATEGY.replace(old, new), "strategy") for old, new, _ in STRATEGIES]
    cases += [(SOURCE.replace(old, new), "source") for old, new, _ in SOURCES]
    for number, (text, what) in enumerate(cases):
        (tmp_path / str(number)).mkdir()
        lines = told(tmp_path / str(number), text, what)
        said = [line.replace(".inputs.", ".") for line in lines]  # a field's name
        assert not [line for line in said if any(word in line for word in jargon)]


def test_of_very_many_problems_the_first_are_told(tmp_path: Path) -> None:
    symbols = ", ".join(map(str, range(7000, 7500)))
    lines = told(tmp_path, STRATEGY.replace("IBM, MSFT", symbols), "strategy")
    assert lines[0].startswith("3: universe.symbols.0: must be text, not 7000")
    assert lines[50:] == ["and more problems"]


def test_a_list_over_many_lines_is_told_by_line(tmp_path: Path) -> None:
    symbols = "\n    - IBM\n    - TRUE\n    # a comment\n    - 7203\n"
    text = STRATEGY.replace(
        "{source: sample, symbols: [IBM, MSFT]}", "\n  source: sample\n  symbols:" + symbols
    )
    assert [line.split(":")[0] for line in told(tmp_path, text, "strategy")] == ["7", "9"]
