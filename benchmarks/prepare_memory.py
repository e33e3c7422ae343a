"""Speed and peak memory of `spanbert prepare`: `python benchmarks/prepare_memory.py TEXT... --sizes 10 200`.

TEXT: text files (.txt, .gz), taken in their order, and from the start again where they are shorter than a size. For
each size (in millions of bytes) a vocabulary is learned from the text and the corpus written; then the corpus is
written again with that vocabulary. Memory is the largest sum over all processes of their proportional set size (on
Linux; elsewhere the resident set size, which counts shared pages in every process), looked at every 50 ms. Speeds are
text bytes over the whole time of the command; `raw` is `encode_batch` of the `tokenizers` library, on all cores, over
lines held in memory, reading and writing nothing. The processor seconds of both are of use where other programs run.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
from tokenizers import Tokenizer

_LINES_AT_A_TIME = 4096


def write_text(sources: list[Path], num_bytes: int, target: Path) -> None:
    """Write the first `num_bytes` of the sources (a little less: up to the end of a line), repeated where needed."""
    left = num_bytes
    with target.open("wb") as out:
        for line in _lines(itertools.cycle(sources)):
            left -= len(line)
            if left < 0:
                return
            out.write(line)


def _lines(sources: Iterator[Path]) -> Iterator[bytes]:
    for path in sources:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            yield from file
        yield b"\n\n"  # between two documents


class Measured(NamedTuple):
    """Seconds, seconds of processor time, peak memory in millions of bytes."""

    seconds: float
    cpu_seconds: float
    memory: float


def run_measured(command: list[str]) -> Measured:
    """Run a command and measure all of its processes."""
    start, cpu_start, peak = time.perf_counter(), _cpu_seconds_of_children(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, _memory(psutil.Process(process.pid)))
            time.sleep(0.05)
    if process.returncode:
        sys.exit(process.returncode)
    return Measured(time.perf_counter() - start, _cpu_seconds_of_children() - cpu_start, peak / 1e6)


def _cpu_seconds_of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _memory(process: psutil.Process) -> int:
    total = 0
    try:
        for member in [process, *process.children(recursive=True)]:
            info = member.memory_full_info()
            total += getattr(info, "pss", info.rss)
    except psutil.Error:  # a process has just ended
        pass
    return total


def run_raw(text: Path, tokenizer: Path) -> Measured:
    """Measure `encode_batch` alone on the same text."""
    library = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    lines = text.read_text(encoding="utf-8").split("\n")
    start, cpu_start = time.perf_counter(), time.process_time()
    for first in range(0, len(lines), _LINES_AT_A_TIME):
        library.encode_batch(lines[first : first + _LINES_AT_A_TIME], add_special_tokens=False)
    return Measured(time.perf_counter() - start, time.process_time() - cpu_start, float("nan"))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--sizes", nargs="+", type=int, default=[10, 200], help="millions of bytes")
    parser.add_argument("--workers", type=int, help="processes; one for each core if not given")
    arguments = parser.parse_args()

    workers = [] if arguments.workers is None else ["--workers", str(arguments.workers)]
    print("text (MB)  vocabulary  documents       pieces  time (s)  cpu (s)  speed (MB/s)  peak memory (MB)")
    folder = Path(tempfile.mkdtemp(prefix="prepare-memory-"))
    try:
        for size in arguments.sizes:
            text = folder / "text.txt"
            write_text(arguments.texts, size * 1_000_000, text)
            for vocabulary in ("learned", "reused"):
                reuse = ["--tokenizer", str(folder / "learned" / "tokenizer")] if vocabulary == "reused" else []
                output = folder / vocabulary
                command = [sys.executable, "-m", "spanbert", "prepare", str(text), "--output", str(output), "--quiet"]
                measured = run_measured([*command, "--overwrite", *workers, *reuse])
                counts = json.loads((output / "manifest.json").read_text(encoding="utf-8"))["counts"]
                print_row(size, vocabulary, f"{counts['num_documents']:>9,}  {counts['num_pieces']:>11,}", measured)
            print_row(size, "raw", " " * 22, run_raw(text, folder / "learned" / "tokenizer"))
    finally:
        shutil.rmtree(folder)


def print_row(size: int, what: str, counts: str, measured: Measured) -> None:
    """Print one line of the table."""
    memory = "" if math.isnan(measured.memory) else f"{measured.memory:>16.0f}"
    print(
        f"{size:>9}  {what:<10}  {counts}  {measured.seconds:>8.1f}  {measured.cpu_seconds:>7.1f}  "
        f"{size / measured.seconds:>12.1f}  {memory}".rstrip(),
        flush=True,
    )


if __name__ == "__main__":
    main()
