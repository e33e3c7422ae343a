"""Files that outlive a crash: on the disk before they are believed, known by a hash, with one writer at a time."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

if sys.platform != "win32":
    import fcntl

_SECONDS_BETWEEN_TRIES = 0.05


def sync_to_disk(path: Path) -> None:
    """Wait until a file, or the entries of a folder, have reached the disk."""
    if path.is_dir() and sys.platform == "win32":  # which cannot open folders
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits; it is read once a process while its size and time stay as they are."""
    status = path.stat()
    return _remembered_hash(path.resolve(), status.st_size, status.st_mtime_ns, status.st_ino)


@cache
def _remembered_hash(path: Path, size: int, time: int, inode: int) -> str:
    return hash_file(path)


def lock_file(file: IO[str]) -> bool:
    """Take the file's lock; false where another process holds it. The lock goes with the process."""
    if sys.platform == "win32":  # which lets no other process delete an open file
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock of a file that is there for nothing else, and is made and removed here.

    Args:
        path: the file, in a folder that exists.
        wait: until another process that holds it lets it go.

    Yields:
        Whether the lock is held; false where another process holds it, and `wait` is false.
    """
    while True:
        with path.open("a") as file:
            held = lock_file(file)
            if held and lies_at(file, path):
                try:
                    yield True
                finally:
                    path.unlink(missing_ok=True)
                return
        if not held:  # otherwise its last holder has just removed it: make a new one
            if not wait:
                yield False
                return
            time.sleep(_SECONDS_BETWEEN_TRIES)


def lies_at(file: IO[str], path: Path) -> bool:
    """Whether an open file is the one that a path leads to now, and was not removed or moved since it was opened."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a file, as far as this machine knows; false where there is no such file."""
    try:
        with path.open("r+") as file:
            return sys.platform == "win32" or not lock_file(file)
    except OSError:
        return False
