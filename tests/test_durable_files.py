"""Locks: one holder at a time, whoever removed the file in between."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from spanbert.durable_files import is_locked, locked


def test_a_lock_has_one_holder_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with locked(path) as first:
        assert first
        assert is_locked(path)
        with locked(path) as second:
            assert not second
        assert is_locked(path), "it is not the second's to remove"
    assert not path.exists()
    with pytest.raises(KeyError), locked(path):
        raise KeyError
    assert not path.exists()


def test_a_file_that_a_killed_process_left_is_no_lock(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    path.touch()
    assert not is_locked(path)
    with locked(path) as ours:
        assert ours


def test_those_who_wait_take_turns(tmp_path: Path) -> None:
    """Also where each makes the file anew and the one before has just removed it."""
    path, inside, most = tmp_path / ".lock", 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with locked(path, wait=True) as ours:
                assert ours
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert not path.exists()
