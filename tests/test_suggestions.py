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


def test_the_beginning_of_a_name_is_enough_and_a_chance_likeness_is_not() -> None:
    assert did_you_mean("light", KNOWN) == "Did you mean lightgbm?"
    assert did_you_mean("nope", ["noise", "ridge"]) == "There are: noise, ridge."
    assert did_you_mean("", KNOWN).startswith("There are: ")
