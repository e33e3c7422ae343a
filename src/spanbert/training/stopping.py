"""SIGTERM and Ctrl-C ask a run to stop, and do not tear it down."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether a signal has asked the run to stop.

    Attributes:
        signal: the signal's number, or 0.
    """

    def __init__(self) -> None:
        self.signal = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C are requests while this lasts; the second one raises KeyboardInterrupt.

        Inside of another `listening` both get the request: a run in its last step does not stop for it, and who began
        the run has to know.
        """
        try:
            before = {number: signal.signal(number, self._request) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not the main thread: signals are the caller's affair
            yield
            return
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
                outer = getattr(handler, "__self__", None)
                if isinstance(outer, StopRequest):
                    outer.signal = outer.signal or self.signal

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number  # nothing else: it may have come in the middle of a write
