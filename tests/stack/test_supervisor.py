"""The supervisor with tiny real processes: order, restarts, health, and what a failure leaves."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tradewind.errors import ServiceFailedError
from tradewind.stack import clock, supervisor
from tradewind.stack.layout import Layout
from tradewind.stack.ports import Port
from tradewind.stack.probes import ProbeFailure
from tradewind.stack.service import Service
from tradewind.stack.state import StackState, read_state

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
SLEEP = "while :; do sleep 0.05; done"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "state")
    made.create()
    return made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "START_POLL", 0.01)
    monkeypatch.setattr(supervisor, "WATCH_POLL", 0.01)


class Recorder:
    """Notes each change of a service's state, and asks for a stop once a condition holds."""

    def __init__(self, until: Callable[[StackState], bool]) -> None:
        self.until = until
        self.changes: list[tuple[str, str]] = []
        self.details: list[str] = []
        self.pids: set[int] = set()
        self.supervisor: supervisor.Supervisor | None = None
        self._last: dict[str, str] = {}

    def __call__(self, state: StackState) -> None:
        for name, record in state.services.items():
            if record.pid:
                self.pids.add(record.pid)
            if record.detail and record.detail not in self.details:
                self.details.append(record.detail)
            if self._last.get(name, "waiting") != record.state:
                self._last[name] = record.state
                self.changes.append((name, record.state))
        if self.supervisor is not None and self.until(state):
            self.supervisor.stop()

    def of(self, name: str) -> list[str]:
        return [state for changed, state in self.changes if changed == name]


def supervise(
    layout: Layout,
    services: list[Service],
    until: Callable[[StackState], bool] = lambda state: state.seconds is not None,
    *,
    start_timeout: float = 30.0,
) -> Recorder:
    """Run until the condition holds; a condition that never does is an error."""
    recorder = Recorder(until)
    made = supervisor.Supervisor(services, layout, start_timeout=start_timeout, on_change=recorder)
    recorder.supervisor = made
    asyncio.run(asyncio.wait_for(made.run(), 300))
    return recorder


def shell(name: str, script: str, **more: Any) -> Service:
    return Service(name, ["sh", "-c", script], ENVIRONMENT, **more)


def when(condition: Callable[[], bool], reason: str = "not yet") -> Callable[[float], None]:
    def probe(_started: float) -> None:
        if not condition():
            raise ProbeFailure(reason)

    return probe


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def no_survivors() -> Callable[[Recorder], None]:
    def check(recorder: Recorder) -> None:
        assert recorder.pids
        assert [pid for pid in recorder.pids if psutil.pid_exists(pid)] == []

    return check


def test_a_service_starts_when_its_needs_are_healthy_and_stops_before_them(
    layout: Layout, tmp_path: Path, no_survivors: Callable[[Recorder], None]
) -> None:
    journal = tmp_path / "journal"

    def service(name: str, *needs: str) -> Service:
        asked = iter(range(3))  # healthy at the third question: what needs it has to wait
        return shell(
            name,
            # It takes its time to stop, so that whoever does not wait for it is seen.
            f"trap 'sleep 0.2; echo stop {name} >> {journal}; exit 0' TERM; "
            f"echo start {name} >> {journal}; {SLEEP}",
            needs=needs,
            probe=when(lambda: f"start {name}" in lines(journal) and next(asked, 2) == 2),
        )

    # Listed in the wrong order: the needs alone decide.
    found = supervise(layout, [service("b", "a"), service("a"), service("c", "b")])
    assert lines(journal) == [
        "start a", "start b", "start c", "stop c", "stop b", "stop a",
    ]  # fmt: skip
    for need, user in (("a", "b"), ("b", "c")):
        assert found.changes.index((need, "healthy")) < found.changes.index((user, "starting"))
    assert {name: found.of(name)[-1] for name in "abc"} == dict.fromkeys("abc", "stopped")
    no_survivors(found)


def test_a_service_that_dies_at_its_start_is_an_error_with_its_last_lines(
    layout: Layout, no_survivors: Callable[[Recorder], None]
) -> None:
    log = layout.service_log("bad")
    never = when(lambda: False)
    recorder = Recorder(lambda _: False)
    made = supervisor.Supervisor(
        [
            shell("good", SLEEP, probe=when(lambda: True)),
            shell("bad", "seq 100; echo no such file >&2; exit 7", needs=("good",), probe=never),
            shell("later", SLEEP, needs=("bad",), probe=never),
        ],
        layout,
        start_timeout=30,
        on_change=recorder,
    )
    with pytest.raises(ServiceFailedError) as caught:
        asyncio.run(asyncio.wait_for(made.run(), 300))
    message = str(caught.value)
    assert "bad ended with exit code 7" in message
    assert str(log) in message
    assert message.splitlines()[-2:] == ["100", "no such file"]
    assert "\n50\n" not in message  # the last lines, not the log
    no_survivors(recorder)
    state = read_state(layout)
    assert state is not None
    assert {name: s.state for name, s in state.services.items()} == {
        "good": "stopped", "bad": "failed", "later": "stopped",
    }  # fmt: skip
    assert recorder.of("later") == ["stopped"]  # it never started
    assert state.error.startswith("bad ended")


def test_a_service_that_is_not_healthy_in_time_is_an_error_with_the_reason(layout: Layout) -> None:
    slow = shell("slow", SLEEP, probe=when(lambda: False, "port 1 is closed"))
    with pytest.raises(ServiceFailedError, match=r"slow not healthy after 0\.2 s \(port 1 is clo"):
        supervise(layout, [slow], start_timeout=0.2)


def test_a_command_that_does_not_exist_is_an_error_that_names_it(layout: Layout) -> None:
    missing = Service("gone", ["no-such-program"], ENVIRONMENT, probe=when(lambda: True))
    with pytest.raises(ServiceFailedError, match=r"gone cannot be started: .*no-such-program"):
        supervise(layout, [missing])


def test_a_service_that_keeps_dying_is_given_up_after_the_last_back_off(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BACK_OFF", (0.0, 0.0, 0.0))
    starts, die = tmp_path / "starts", tmp_path / "die"

    def ended(state: StackState) -> bool:
        if state.services["frail"].state == "healthy":
            die.touch()
        return state.services["frail"].state == "failed"

    found = supervise(
        layout,
        [
            shell(
                "frail",
                f"echo $$ >> {starts}; until [ -e {die} ]; do sleep 0.02; done; exit 3",
                probe=when(lambda: True),
            ),
            shell("steady", SLEEP, probe=when(lambda: True)),
        ],
        ended,
    )
    assert len(lines(starts)) == 1 + 3
    assert found.of("frail")[-2:] == ["restarting", "failed"]
    assert found.details[-1].startswith("frail ended with exit code 3")
    assert found.details[-1].endswith("gave up after 3 restarts")
    assert "restarting" not in found.of("steady")  # its neighbour ran on
    state = read_state(layout)
    assert state is not None
    assert state.services["frail"].restarts == 3


def kill_once(mark: Path, what: Path, how: int = signal.SIGKILL) -> Callable[[float], None]:
    """Return a probe that fails until the process that a file names was killed, once."""

    def probe(_started: float) -> None:
        killed = lines(mark)
        begun = [pid for pid in lines(what) if pid not in killed]
        if not begun:
            raise ProbeFailure("not yet")
        if not killed:
            mark.write_text(begun[-1])
            os.kill(int(begun[-1]), how)
            raise ProbeFailure("was just killed")

    return probe


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_service_killed_during_its_first_start_is_started_again(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: int
) -> None:
    monkeypatch.setattr(supervisor, "BACK_OFF", (0.0, 0.0))
    pid = tmp_path / "pid"
    probe = kill_once(tmp_path / "killed", pid, how)
    found = supervise(layout, [shell("store", f"echo $$ >> {pid}; {SLEEP}", probe=probe)])
    assert len(lines(pid)) == 2
    assert found.of("store") == ["starting", "restarting", "starting", "healthy", "stopped"]


def test_a_step_killed_during_the_start_is_done_again(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BACK_OFF", (0.0,))
    ran = tmp_path / "ran"
    script = f"echo x >> {ran}; [ $(wc -l < {ran}) = 1 ] && kill -9 $$; true"
    done = tmp_path / "done"
    supervise(layout, [shell("migrate", script, done_file=done, done_value="1")])
    assert len(lines(ran)) == 2
    assert done.read_text() == "1"


def test_what_fails_with_what_it_needs_during_the_start_is_tried_again(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BACK_OFF", (0.0, 0.0))
    monkeypatch.setattr(supervisor, "WATCH_POLL", 0.05)
    pid, up = tmp_path / "pid", tmp_path / "up"
    store = f"echo $$ >> {pid}; touch {up}; {SLEEP}"
    # The step takes the store down, and fails for it while that is away, the first time.
    step = f"[ $(wc -l < {pid}) = 1 ] && kill -9 $(cat {pid}) && sleep 0.3 && exit 1; true"
    found = supervise(
        layout,
        [
            shell("store", store, probe=when(up.exists)),
            shell("tables", step, needs=("store",)),
        ],
    )
    assert len(lines(pid)) == 2
    assert found.of("tables")[-1] == "done"


def test_who_is_killed_again_and_again_is_an_error_in_the_end(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BACK_OFF", (0.0, 0.0))
    starts = tmp_path / "starts"
    doomed = shell("doomed", f"echo x >> {starts}; kill -9 $$", probe=when(lambda: False))
    with pytest.raises(ServiceFailedError, match="doomed ended with exit code -9"):
        supervise(layout, [doomed])
    assert len(lines(starts)) == 3


def test_a_restarted_service_is_healthy_again(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BACK_OFF", (0.0,))
    died = tmp_path / "died"

    def back(state: StackState) -> bool:
        return state.services["frail"].restarts == 1 and state.all_healthy()

    # It dies once it has been seen healthy, the first time only.
    asked = iter(range(2))

    def probe(_started: float) -> None:
        if next(asked, None) == 1:
            died.touch()

    script = f"[ -e {died} ] && exec sleep 600; until [ -e {died} ]; do sleep 0.02; done; exit 1"
    found = supervise(layout, [shell("frail", script, probe=probe)], back)
    assert found.of("frail") == ["starting", "healthy", "restarting", "starting", "healthy",
                                 "stopped"]  # fmt: skip


def test_what_falls_with_what_it_needs_waits_for_it_and_is_not_given_up(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BACK_OFF", (0.0, 0.0))
    starts, falls = tmp_path / "starts", 5
    up = tmp_path / "up"
    dips = 0

    def store_probe(_started: float) -> None:
        """Gone for a while again and again, each time until what needs it has noticed."""
        nonlocal dips
        started = len(lines(starts))
        if up.exists() and dips < falls and started == dips + 1:
            dips += 1
            up.unlink()
        elif not up.exists() and (not started or waits()):
            up.touch()
        if not up.exists():
            raise ProbeFailure("gone")

    def waits() -> bool:
        state = read_state(layout)
        return state is not None and "waits for store" in state.services["client"].detail

    def back(state: StackState) -> bool:
        return state.services["client"].restarts == falls and state.all_healthy()

    def begun() -> bool:
        state = read_state(layout)
        return state is not None and len(lines(starts)) == 1 + state.services["client"].restarts

    client = f"echo $$ >> {starts}; while [ -e {up} ]; do sleep 0.02; done; exit 1"
    found = supervise(
        layout,
        [
            shell("store", SLEEP, probe=store_probe),
            # It needs the store by way of a step, as all of Airflow does.
            shell("tables", "true", needs=("store",)),
            shell("client", client, probe=when(begun), needs=("tables",)),
        ],
        back,
    )
    assert len(lines(starts)) == 1 + falls
    assert "failed" not in found.of("client")


def test_a_restart_waits_for_its_back_off(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BACK_OFF", (3600.0,))
    starts = tmp_path / "starts"
    ticks = 0
    dead_at: list[int] = []

    def clock(_started: float) -> None:  # looked at a hundred times after the death
        nonlocal ticks
        ticks += 1
        if dead_at and ticks > dead_at[0] + 100:
            raise ProbeFailure("long enough")

    def waited_long(state: StackState) -> bool:
        if state.services["frail"].state == "restarting" and not dead_at:
            dead_at.append(ticks)
        return state.services["clock"].state == "unhealthy"

    healthy = tmp_path / "healthy"
    supervise(
        layout,
        [
            shell(
                "frail",
                f"echo $$ >> {starts}; until [ -e {healthy} ]; do sleep 0.02; done; exit 1",
                probe=lambda _: healthy.touch(),
            ),
            shell("clock", SLEEP, probe=clock),
        ],
        waited_long,
    )
    assert dead_at
    assert len(lines(starts)) == 1


def test_a_failing_probe_turns_a_service_unhealthy_until_it_succeeds(layout: Layout) -> None:
    answers = iter([True, True, False, False, True])
    service = shell("moody", SLEEP, probe=when(lambda: next(answers, True), "no answer"))

    def recovered(state: StackState) -> bool:
        return seen.of("moody")[-2:] == ["unhealthy", "healthy"] and state.all_healthy()

    seen = Recorder(recovered)
    made = supervisor.Supervisor([service], layout, start_timeout=30, on_change=seen)
    seen.supervisor = made
    asyncio.run(asyncio.wait_for(made.run(), 300))
    assert seen.of("moody") == ["starting", "healthy", "unhealthy", "healthy", "stopped"]
    assert seen.details == ["no answer"]
    state = read_state(layout)
    assert state is not None
    assert state.services["moody"].restarts == 0  # a sick service is not a dead one


def test_a_probe_with_a_mistake_of_its_own_is_no_health(layout: Layout) -> None:
    def probe(_started: float) -> None:
        raise KeyError("metadatabase")

    with pytest.raises(ServiceFailedError, match=r"not healthy .*KeyError: 'metadatabase'"):
        supervise(layout, [shell("odd", SLEEP, probe=probe)], start_timeout=0.2)


def test_a_step_is_done_once_for_a_value(layout: Layout, tmp_path: Path) -> None:
    ran, done = tmp_path / "ran", tmp_path / "done"
    for version, times in (("1.0", 1), ("1.0", 1), ("1.1", 2)):
        step = shell("migrate", f"echo x >> {ran}", done_file=done, done_value=version)
        user = shell("user", SLEEP, needs=("migrate",), probe=when(lambda: True))
        found = supervise(layout, [step, user])
        assert len(lines(ran)) == times
        assert done.read_text() == version
        assert found.of("migrate")[-1] == "done"


def test_a_step_that_fails_is_an_error_and_is_not_marked_as_done(
    layout: Layout, tmp_path: Path
) -> None:
    done = tmp_path / "done"
    step = shell("migrate", "echo column missing; exit 2", done_file=done, done_value="1")
    user = shell("user", SLEEP, needs=("migrate",), probe=when(lambda: True))
    with pytest.raises(ServiceFailedError, match=r"(?s)migrate ended with exit code 2.*column"):
        supervise(layout, [step, user])
    assert not done.exists()


def test_what_a_step_is_told_on_its_standard_input_is_on_no_command_line(
    layout: Layout, tmp_path: Path
) -> None:
    heard = tmp_path / "heard"
    supervise(layout, [shell("admin", f"cat > {heard}", stdin="s3cret\ns3cret\n")])
    assert heard.read_text() == "s3cret\ns3cret\n"


def test_a_service_that_ignores_the_request_to_stop_is_killed_with_its_children(
    layout: Layout, tmp_path: Path
) -> None:
    child = tmp_path / "child"
    deaf = shell(
        "deaf",
        f"trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > {child}; {SLEEP}' & {SLEEP}",
        probe=when(lambda: bool(lines(child))),
        grace=0.1,
    )
    found = supervise(layout, [deaf])
    pids = {*found.pids, int(child.read_text())}
    assert len(pids) == 2
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []


def test_a_port_that_was_taken_meanwhile_is_an_error_at_once(layout: Layout) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = Port(other.getsockname()[1], "TRADEWIND_SOME_PORT")
        never = when(lambda: False)
        service = shell("some", SLEEP, ports=(port,), probe=never)
        with pytest.raises(ServiceFailedError, match=r"some cannot be started: port .* is taken"):
            supervise(layout, [service], start_timeout=600)
    state = read_state(layout)
    assert state is not None
    assert state.services["some"].state == "failed"
    assert state.services["some"].pid is None


def test_a_clock_that_is_set_back_starts_anew_what_would_wait_for_it(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BACK_OFF", (0.0,))  # one restart in a row, but for this reason
    now = {"booted": 0.0}
    monkeypatch.setattr(clock, "booted", lambda: now["booted"])
    steps = iter(
        [
            (3600.0, False), (0.0, False),  # set back while it starts
            (0.0, True), (-1.0, True), (7200.0, True), (0.0, True),  # a little, then for good
        ]
    )  # fmt: skip

    def probe(_started: float) -> None:
        now["booted"], well = next(steps, (0.0, True))
        if not well:
            raise ProbeFailure("not yet")

    follows = shell("follows", SLEEP, probe=probe, follows_the_clock=True)
    other = shell("other", SLEEP, probe=when(lambda: True))
    found = supervise(
        layout, [follows, other], lambda state: state.services["follows"].restarts == 2
    )
    assert found.of("follows").count("restarting") == 2
    assert "restarting" not in found.of("other")
    assert {"the machine's clock was set back by 3600 s",
            "the machine's clock was set back by 7200 s"} <= set(found.details)  # fmt: skip
