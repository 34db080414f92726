from tradewind.suggestions import did_you_mean

KNOWN = ["lightgbm", "ridge", "ma_crossover"]


def test_a_name_that_is_close_is_suggested() -> None:
    assert did_you_mean("ridg", KNOWN) == "Did you mean ridge?"


def test_case_hyphens_and_spaces_make_no_other_name() -> None:
    assert did_you_mean("LightGBM", KNOWN) == "Did you mean lightgbm?"
    assert did_you_mean("MA-Crossover ", KNOWN) == "Did you mean ma_crossover?"


def test_all_names_are_listed_where_none_is_close() -> None:
    assert did_you_mean("forest", KNOWN) == "There are: lightgbm, ridge, ma_crossover."
    assert did_you_mean("forest", [], otherwise="Known") == "Known: none."
