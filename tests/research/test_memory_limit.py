"""How much memory foreign code may take: what is free on the machine or in the container."""

from pathlib import Path

import pytest

from tradewind.research.code import memory_limit


def test_without_a_container_it_is_what_the_machine_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_limit, "_CGROUP", tmp_path)
    machine = memory_limit.free_memory()
    assert 10**8 < machine < 10**14
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("5\n")
    assert memory_limit.free_memory() == pytest.approx(machine, rel=0.2)


def test_in_a_container_pages_of_files_count_as_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_limit, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("50000000\n")
    (tmp_path / "memory.current").write_text("49000000\n")
    (tmp_path / "memory.stat").write_text("anon 1\nactive_file 3000000\ninactive_file 6000000\n")
    assert memory_limit.free_memory() == 10_000_000


def test_the_first_version_of_control_groups_is_read_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_limit, "_CGROUP", tmp_path)
    folder = tmp_path / "memory"
    folder.mkdir()
    (folder / "memory.limit_in_bytes").write_text("50000000\n")
    (folder / "memory.usage_in_bytes").write_text("49000000\n")
    (folder / "memory.stat").write_text("total_active_file 1000000\ntotal_inactive_file 0\n")
    assert memory_limit.free_memory() == 2_000_000
