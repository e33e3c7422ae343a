"""`spanbert prepare` with a tokenizer that is there: a command, from its start to its end.

Settings: those of `text.shared_text`, `tokenizer`, a folder, and `output`, one for the corpus. Units are bytes of text.
Memory is told of the warm-up, since looking at it takes time: of all processes, and with all that they loaded.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from side_by_side.sides.family import peak_mib_of
from side_by_side.sides.text import shared_text
from side_by_side.worker import Job, serve
from spanbert.tasks.pretraining.corpus import Corpus


def load(settings: dict[str, Any]) -> Job:
    """The command, and the text in the system's cache."""
    text, output = shared_text(settings), Path(settings["output"])
    num_bytes = text.stat().st_size
    command = [sys.executable, "-m", "spanbert", "prepare", str(text), "--output", str(output), "--overwrite"]
    command += ["--quiet", "--tokenizer", settings["tokenizer"], "--workers", str(settings["threads"])]
    # As for users: pip compiles what it installs.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    peaks: list[float] = []

    def prove() -> list[float]:
        run()
        pieces = Corpus.open(output).pieces.astype(np.int32)
        return [len(pieces), zlib.crc32(pieces.tobytes())]

    def run() -> dict[str, Any]:
        if peaks:
            subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, check=True)
        else:
            peaks.append(peak_mib_of(command, environment))
        return {"units": num_bytes, "peak_mib": peaks[0]}

    return Job(run, prove)


if __name__ == "__main__":
    serve(load)
