"""Files that outlive a crash: on the disk before they are believed, known by a hash, with one writer at a time."""

from __future__ import annotations

import hashlib
import os
import sys
from functools import cache
from pathlib import Path
from typing import IO

if sys.platform != "win32":
    import fcntl


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


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a file, as far as this machine knows; false where there is no such file."""
    try:
        with path.open("r+") as file:
            return sys.platform == "win32" or not lock_file(file)
    except OSError:
        return False
