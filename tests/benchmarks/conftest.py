"""A copy of the instrument with a side more, whose seconds and proof the test decides, and with rows made of it."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MODULES = ("comparison", "measuring", "report", "comparing", "checks", "circumstances")

FAKE_SIDE = """
import os, subprocess, sys, time
from side_by_side.worker import Job, serve

def load(settings):
    print("libraries print this")
    if settings.get("dies"):
        print("a line before", "the reason why it dies", sep=chr(10), file=sys.stderr)
        raise SystemExit(3)
    rounds = iter(settings["seconds"])
    def run():
        if "hangs" in settings:
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
            with open(settings["hangs"] + ".new", "w") as file:
                file.write(str(child.pid))
            os.replace(settings["hangs"] + ".new", settings["hangs"])
            time.sleep(600)
        if "log" in settings:
            with open(settings["log"], "a") as log:
                log.write(settings["name"])
        return {"seconds": next(rounds), "units": 6, "right": 5}
    return Job(run, lambda: settings["proof"], warm_up=settings.get("warm_up", 0))

serve(load)
"""

FAKE_ROWS = """
from pathlib import Path
from side_by_side.comparison import Aim, Comparison, Side, speed_ratio

def row(name, *more_sides, slow=False, **settings):
    shared = {"proof": [1.0], "seconds": [1.0, 1.0, 1.0], **settings}
    sides = (Side("ours", "ours", "fake", shared), Side("peer", "peer", "fake", shared | {"seconds": [2.0] * 3}))
    aims = (Aim("speed", speed_ratio("ours", "peer"), least=1.5),
            Aim("seconds", lambda results: results["ours"].seconds, most=5.0, unit="s"))
    return Comparison(name, f"Title of {name}", "Nothing.", "texts", (*sides, *more_sides), aims, rounds=3, slow=slow)

def rows(options):
    if options.device == "cuda":
        return [row("on-gpu")]
    peer = [Side("other", "other", "fake", {"proof": [1.0], "seconds": [9.0] * 3}, python=options.fastcoref_python)]
    all_rows = [
        row("first"),
        row("fails", dies=True),
        row("last", sources=options.files("texts/all.txt")),
        row("other-python", *(peer if options.fastcoref_python else [])),
        row("hangs", slow=True, hangs=str(Path(__file__).parents[3] / "pid")),
    ]
    return all_rows if options.threads > 1 else all_rows[2:]

ROWS = (rows,)
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """The modules of the copy; `speed` is its command, `folder` where it is, with the page beside it."""
    folder = tmp_path / "repository"
    shutil.copytree(
        BENCHMARKS / "side_by_side",
        folder / "benchmarks" / "side_by_side",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(BENCHMARKS / "speed.py", folder / "benchmarks")
    (folder / "benchmarks" / "side_by_side" / "sides" / "fake.py").write_text(FAKE_SIDE)
    (folder / "benchmarks" / "side_by_side" / "rows" / "__init__.py").write_text(FAKE_ROWS)
    with _imported(folder / "benchmarks") as modules:
        (folder / "docs").mkdir()
        page = f"# Title\n\n{modules.report._BEGIN}\nis replaced\n{modules.report._END}\n\nBelow.\n"
        (folder / "docs" / "benchmarks.md").write_text(page)
        modules.folder = folder
        yield modules


@pytest.fixture
def real() -> Iterator[SimpleNamespace]:
    """The modules as they are, with the real rows."""
    with _imported(BENCHMARKS) as modules:
        yield modules


@contextmanager
def _imported(folder: Path) -> Iterator[SimpleNamespace]:
    """The modules of one folder, forgotten afterwards."""
    sys.path.insert(0, str(folder))
    try:
        modules = {name: importlib.import_module(f"side_by_side.{name}") for name in MODULES}
        yield SimpleNamespace(speed=importlib.import_module("speed"), **modules)
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] in ("side_by_side", "speed")]:
            del sys.modules[name]
