"""The one idea of this package: a span of something that is counted from 0, half-open."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """A half-open range: `start` is its first position, `end` the first one after it."""

    start: int
    end: int
