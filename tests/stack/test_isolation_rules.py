"""Which task of an application is its longest, from what its workers say."""

from tradewind.stack.isolation import longest_celery_task


def answers(*registered: str, limit: float | None = 600) -> dict[str, object]:
    return {"conf": {"task_time_limit": limit}, "registered": list(registered)}


def test_a_task_has_the_limit_of_all_unless_it_has_its_own() -> None:
    found = longest_celery_task(answers("short [time_limit=5]", "common"))
    assert found == (600.0, "common")
    own = "long [time_limit=900 soft_time_limit=800]"
    assert longest_celery_task(answers("common", own)) == (900.0, "long")


def test_a_soft_limit_is_none() -> None:
    """A task may catch it and go on."""
    found = longest_celery_task(answers("soft [soft_time_limit=5]", limit=None))
    assert found == (None, "soft")


def test_a_task_without_any_limit_is_named() -> None:
    found = longest_celery_task(answers("a [time_limit=5]", "endless", limit=None))
    assert found == (None, "endless")
