"""Speed and peak memory of `spanbert prepare`: `python benchmarks/prepare_memory.py TEXT... --sizes 10 200`.

TEXT: text files (.txt, .gz), taken in their order, and from the start again where they are shorter than a size. For
each size (in millions of bytes) a vocabulary is learned from the text and the corpus written; then the corpus is
written again with that vocabulary. Memory is the largest sum over all processes of their proportional set size (on
Linux; elsewhere the resident set size, which counts shared pages in every process), looked at every 50 ms. Speeds are
text bytes over the whole time of the command; `raw` is `encode_batch` of the `tokenizers` library, on all cores, over
lines held in memory, reading and writing nothing.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

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


def run_measured(command: list[str]) -> tuple[float, float]:
    """Run a command; return its seconds and the peak memory of its processes in millions of bytes."""
    start, peak = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, _memory(psutil.Process(process.pid)))
            time.sleep(0.05)
    if process.returncode:
        sys.exit(process.returncode)
    return time.perf_counter() - start, peak / 1e6


def _memory(process: psutil.Process) -> int:
    total = 0
    try:
        for member in [process, *process.children(recursive=True)]:
            info = member.memory_full_info()
            total += getattr(info, "pss", info.rss)
    except psutil.Error:  # a process has just ended
        pass
    return total


def raw_speed(text: Path, tokenizer: Path) -> float:
    """Return how many millions of bytes a second `encode_batch` alone turns into pieces."""
    library = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    lines = text.read_text(encoding="utf-8").split("\n")
    start = time.perf_counter()
    for first in range(0, len(lines), _LINES_AT_A_TIME):
        library.encode_batch(lines[first : first + _LINES_AT_A_TIME], add_special_tokens=False)
    return text.stat().st_size / 1e6 / (time.perf_counter() - start)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--sizes", nargs="+", type=int, default=[10, 200], help="millions of bytes")
    parser.add_argument("--workers", type=int, help="processes; one for each core if not given")
    arguments = parser.parse_args()

    workers = [] if arguments.workers is None else ["--workers", str(arguments.workers)]
    print("text (MB)  vocabulary  documents       pieces  time (s)  speed (MB/s)  raw (MB/s)  peak memory (MB)")
    folder = Path(tempfile.mkdtemp(prefix="prepare-memory-"))
    try:
        for size in arguments.sizes:
            text = folder / "text.txt"
            write_text(arguments.texts, size * 1_000_000, text)
            raw = 0.0
            for vocabulary in ("learned", "reused"):
                reuse = ["--tokenizer", str(folder / "learned" / "tokenizer")] if vocabulary == "reused" else []
                output = folder / vocabulary
                command = [sys.executable, "-m", "spanbert", "prepare", str(text), "--output", str(output), "--quiet"]
                seconds, peak = run_measured([*command, "--overwrite", *workers, *reuse])
                raw = raw or raw_speed(text, output / "tokenizer")
                counts = json.loads((output / "manifest.json").read_text(encoding="utf-8"))["counts"]
                print(
                    f"{size:>9}  {vocabulary:<10}  {counts['num_documents']:>9,}  {counts['num_pieces']:>11,}  "
                    f"{seconds:>8.1f}  {text.stat().st_size / 1e6 / seconds:>12.1f}  {raw:>10.1f}  {peak:>16.0f}"
                )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
