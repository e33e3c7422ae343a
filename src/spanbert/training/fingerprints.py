"""In what two runs differ, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between the options and data of two runs, and only that, a phrase each.

    Args:
        before: by name, JSON values; a mapping (such as a task's settings) is compared key by key. "files" is file name
            -> hash, of which people see only whose contents have changed: a file's other name is that of an option.
        now: likewise.
    """
    rows: list[str] = []
    for name in sorted(before.keys() | now.keys()):
        was, is_ = before.get(name), now.get(name)
        if was == is_:
            continue
        if name == "files" and isinstance(was, Mapping) and isinstance(is_, Mapping):
            rows += [f"the contents of {file} have changed" for file in was if is_.get(file, was[file]) != was[file]]
        elif isinstance(was, Mapping) and isinstance(is_, Mapping):
            rows += [f"{name}: {row}" for row in differences(was, is_)]
        else:
            rows.append(f"{name}: was {was!r}, now {is_!r}")
    return rows
