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

        Inside of another `listening` both get the request, whichever listens when it comes: a run that is still being
        prepared has to stop for it, and one in its last step does not, so that who began the run has to know.
        """
        try:
            before = {number: signal.signal(number, self._request) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not the main thread: signals are the caller's affair
            yield
            return
        owners = [getattr(handler, "__self__", None) for handler in before.values()]
        outers = [owner for owner in owners if isinstance(owner, StopRequest)]
        self.signal = next((outer.signal for outer in outers if outer.signal), self.signal)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for outer in outers:
                outer.signal = outer.signal or self.signal

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number  # nothing else: it may have come in the middle of a write
