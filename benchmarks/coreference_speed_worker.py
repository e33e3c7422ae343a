"""One side of `coreference_speed.py` in a process of its own; needs nothing but the standard library.

The parent writes a line of JSON with the settings, then an empty line for each round. The worker answers the first when
it has loaded its model, and each round with its seconds and the peak of its resident memory since then.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


class Job(NamedTuple):
    """`run` is timed; `describe` says, of what it gave, what the table shows beside the time."""

    run: Callable[[], Any]
    describe: Callable[[Any], dict[str, Any]]


def resident_mib(field: str) -> float:
    """VmRSS, or VmHWM, the highest VmRSS since it was last reset; MiB."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"{_STATUS} has no {field}: memory is measured on Linux only")


def serve(load: Callable[[dict[str, Any]], Job]) -> None:
    """Load what the settings say, then run it once a line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    job = load(json.loads(sys.stdin.readline()))
    gc.collect()
    _CLEAR_REFS.write_text("5")  # proc_pid_clear_refs(5): resets VmHWM
    loaded = resident_mib("VmRSS")
    print(json.dumps({"loaded_mib": loaded}), file=answers, flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        result = job.run()
        seconds = time.perf_counter() - begin
        peak = resident_mib("VmHWM") - loaded
        answer = {"seconds": seconds, "peak_mib": peak, **job.describe(result)}
        del result
        print(json.dumps(answer), file=answers, flush=True)
