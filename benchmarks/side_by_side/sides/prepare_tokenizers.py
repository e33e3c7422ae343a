"""The ceiling of `spanbert prepare`: `tokenizers` alone, over lines in memory, on all cores; nothing is written.

Settings: those of `text.shared_text`, `tokenizer`, a folder with tokenizer.json, and `method`, "encode_batch" or
"encode_batch_fast". Units are bytes of text.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from side_by_side.sides.text import shared_text
from side_by_side.worker import Job, serve

_LINES_AT_A_TIME = 4096


def load(settings: dict[str, Any]) -> Job:
    """The text in memory."""
    os.environ["RAYON_NUM_THREADS"] = str(settings["threads"])
    path = shared_text(settings)
    tokenizer = Tokenizer.from_file(str(Path(settings["tokenizer"]) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encode = getattr(tokenizer, settings["method"])
    lines = path.read_text(encoding="utf-8").split("\n")
    groups = [lines[first : first + _LINES_AT_A_TIME] for first in range(0, len(lines), _LINES_AT_A_TIME)]

    def prove() -> list[float]:
        encoded = (encoding for group in groups for encoding in encode(group, add_special_tokens=False))
        pieces = np.concatenate([np.array(encoding.ids, dtype=np.int32) for encoding in encoded])
        return [len(pieces), zlib.crc32(pieces.tobytes())]

    def run() -> float:
        for group in groups:
            encode(group, add_special_tokens=False)
        return path.stat().st_size

    return Job(run, prove)


if __name__ == "__main__":
    serve(load)
