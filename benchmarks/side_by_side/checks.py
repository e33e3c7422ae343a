"""What would make a row fail later is told before the first one runs."""

from __future__ import annotations

import difflib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from side_by_side.comparison import Comparison, Options


def check(chosen: Sequence[Comparison], options: Options) -> None:
    """Look for the files that rows open, for a model, and for a python that has fastcoref.

    Raises:
        SystemExit: something is not there; all that is missing is named.
    """
    problems = [
        f"{comparison.name}: needs {file}, which is not there; docs/benchmarks.md says what DATA holds"
        for comparison in chosen
        for file in comparison.sources
        if not file.is_file()
    ]
    if not (options.model / "config.json").is_file():
        problems.append(f"--model {options.model}: has no config.json; give the folder of a small BERT")
    if options.fastcoref_python is not None:
        problems += _without_fastcoref(options.fastcoref_python)
    if problems:
        raise SystemExit("\n".join(problems))


def _without_fastcoref(python: Path) -> list[str]:
    try:
        # -E, because a side of another environment does not get our PYTHONPATH either
        done = subprocess.run(
            [str(python), "-E", "-c", "import fastcoref"], capture_output=True, text=True, check=False
        )
    except OSError as error:
        return [f"--fastcoref-python {python}: cannot be run: {error.strerror}"]
    if not done.returncode:
        return []
    why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return [f"--fastcoref-python {python}: cannot import fastcoref: {why}"]


def check_names(wanted: Sequence[str], here: Sequence[str], everywhere: Sequence[str]) -> None:
    """Names of `--only`: each has to begin one of the rows that this run has, `here`.

    Raises:
        SystemExit: a name begins none of them; the nearest right ones are named.
    """
    for name in wanted:
        if name and any(row.startswith(name) for row in here):
            continue
        if name and any(row.startswith(name) for row in everywhere):
            raise SystemExit(f"--only {name}: there is no such row with this --device and these --threads")
        near = difflib.get_close_matches(name, here, n=2, cutoff=0.4)
        meant = f"did you mean {' or '.join(near)}?" if near else "--list shows them all"
        raise SystemExit(f"--only {name!r}: no row's name begins so; {meant}")
