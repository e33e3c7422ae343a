"""The memory of a command: of all of its processes together."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence

import psutil  # type: ignore[import-untyped]

_SECONDS_BETWEEN_LOOKS = 0.05


def peak_mib_of(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Run a command to its end; the largest sum of its processes' memory, looked at every 50 ms, in MiB.

    On Linux a process counts with its proportional set size; elsewhere with its resident size, in which every process
    counts what it shares with others. Looking takes time: this is no run to be timed.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    peak = 0.0
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=dict(environment)
    ) as process:
        while process.poll() is None:
            peak = max(peak, _mib_now(process.pid))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return peak


def _mib_now(pid: int) -> float:
    total = 0
    try:
        first = psutil.Process(pid)
        for process in [first, *first.children(recursive=True)]:
            info = process.memory_full_info()
            total += getattr(info, "pss", info.rss)
    except psutil.Error:  # a process has just ended
        pass
    return total / 2**20
