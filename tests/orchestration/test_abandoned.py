"""Who is taken for abandoned, and that an outage blames nobody."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest
from redis.exceptions import ConnectionError as RedisLostError

from tradewind.orchestration.runtime.abandoned import (
    LOOK_EVERY,
    LOST_AFTER,
    SILENT_AFTER,
    Abandoned,
    Task,
    Watch,
)

NOBODY = Abandoned()
BEAT = datetime(2026, 1, 2, tzinfo=UTC)


class World:
    """What a watch sees, and its clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.tasks: dict[str, Task] = {}
        self.messages: set[str] = set()
        self.answers = True
        self.error: Exception | None = None
        self.asked: list[set[str]] = []
        self.watch = Watch(self._tasks, self._messages, lambda: self.answers, lambda: self.now)

    def _tasks(self, ids: Collection[str]) -> list[Task]:
        if self.error is not None:
            raise self.error
        return [task for name, task in self.tasks.items() if name in ids]

    def _messages(self, queues: Collection[str]) -> set[str]:
        self.asked.append(set(queues))
        return self.messages

    def runs(self, name: str, beat: datetime | None = BEAT) -> None:
        self.tasks[name] = Task(name, True, "default", beat)

    def waits(self, name: str, queue: str = "default") -> None:
        self.tasks[name] = Task(name, False, queue, None)

    def looks(self, seconds: float) -> Abandoned:
        """Look as often as is due for so long, and return what the last look found."""
        found = NOBODY
        for _ in range(int(seconds / LOOK_EVERY) + 1):
            found = self.watch.look(["a", "b"])
            self.now += LOOK_EVERY
        return found


@pytest.fixture
def world() -> World:
    return World()


def test_a_task_that_is_silent_while_the_web_server_answers_is_abandoned(world: World) -> None:
    world.runs("a")
    world.runs("b")
    assert world.looks(SILENT_AFTER - LOOK_EVERY) == NOBODY
    world.runs("b", BEAT + timedelta(seconds=30))
    assert world.looks(0) == Abandoned(silent=("a",))


def test_a_task_that_never_told_anything_is_abandoned_too(world: World) -> None:
    world.runs("a", None)
    assert world.looks(SILENT_AFTER) == Abandoned(silent=("a",))


def test_no_task_is_blamed_for_the_web_server(world: World) -> None:
    world.runs("a")
    for _ in range(5):
        world.looks(SILENT_AFTER - LOOK_EVERY)
        world.answers = False
        assert world.looks(10 * SILENT_AFTER) == NOBODY
        world.answers = True
    assert world.looks(SILENT_AFTER) == Abandoned(silent=("a",))


def test_an_old_heartbeat_says_nothing_to_who_has_just_begun_to_look(world: World) -> None:
    world.runs("a", BEAT - timedelta(days=1))
    assert world.looks(0) == NOBODY


def test_a_message_that_is_in_nobodys_hands_is_lost(world: World) -> None:
    world.waits("a", "default")
    world.waits("b", "large")
    world.messages = {"b", "another"}
    assert world.looks(LOST_AFTER - LOOK_EVERY) == NOBODY
    assert world.looks(0) == Abandoned(lost=("a",))
    assert {"default", "large"} in world.asked


def test_a_message_that_was_on_its_way_is_not_lost(world: World) -> None:
    world.waits("a")
    for _ in range(10):
        world.messages = set()
        assert world.looks(0) == NOBODY
        world.messages = {"a"}
        assert world.looks(0) == NOBODY


def test_a_long_queue_is_not_lost(world: World) -> None:
    world.waits("a")
    world.messages = {"a"}
    assert world.looks(3600) == NOBODY


@pytest.mark.parametrize("error", [RedisLostError("gone"), OSError("gone")])
def test_an_outage_of_what_is_looked_at_starts_the_count_anew(
    world: World, error: Exception
) -> None:
    world.runs("a")
    world.waits("b")
    world.looks(LOST_AFTER - LOOK_EVERY)
    world.error = error
    assert world.looks(SILENT_AFTER) == NOBODY
    world.error = None
    assert world.looks(LOST_AFTER - LOOK_EVERY) == NOBODY
    assert world.looks(0) == Abandoned(lost=("b",))


def test_a_look_is_not_taken_before_it_is_due(world: World) -> None:
    world.waits("a")
    world.looks(0)
    world.now -= 0.1
    world.watch.look(["a"])
    assert len(world.asked) == 1
