"""Names of folders: nearly all are usable, and those that are not are refused with the reason."""

import pytest

from tradewind.host.paths import unusable


@pytest.mark.parametrize(
    "name",
    ["plain", "a b", " a", "a ", "ä", "e\u0301", "日本", "\U0001f600", "a#b", "a?b", "a*b", "a'b",
     'a"b', "a=b", "a:b", "a,b", "a;b&c", "a{b}", "a<b>", "a(b)", "a+b", "-a", "~", "a~", "a@b",
     "a!", "a`b", "50%", "a%e", "a%zz", "$", "a$no_such_variable_is_set", "a\u00a0b"],
)  # fmt: skip
def test_most_names_are_usable(name: str) -> None:
    assert unusable(f"/tmp/{name}/state") == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a%20b", "%20"), ("%41", "%41"), ("a%%b", "%%"), ("a%(b)s", "%("),
        ("a[b", "["), ("a]b", "]"), ("a^b", "^"), ("a|b", "|"), ("a\\b", "\\"),
        ("a\nb", "a line's end"), ("a\tb", "control"), ("a\x7fb", "control"),
        ("a\udcffb", "not UTF-8"),
        ("$SOMEBODY", "variable"), ("a${SOMEBODY}b", "variable"),
    ],
)  # fmt: skip
def test_a_name_that_a_library_takes_for_another_is_refused(
    name: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMEBODY", "else")
    assert reason in unusable(f"/tmp/{name}/state")
