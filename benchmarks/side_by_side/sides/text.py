"""Plain text that sides share: the first bytes of real files, or of the sample texts, repeated where too short."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from spanbert.sample_corpus import sample_documents


def shared_text(settings: dict[str, Any]) -> Path:
    """A file of `megabytes` of whole lines (a little less), a blank line between documents.

    The first side writes it to `text`, from the files `sources`, or from the English sample texts where there are none.
    """
    path = Path(settings["text"])
    if not path.exists():
        left = settings["megabytes"] * 1_000_000
        with path.open("wb") as out:
            for line in _endless_lines([Path(source) for source in settings["sources"]]):
                left -= len(line)
                if left < 0:
                    break
                out.write(line)
    return path


def words(sources: Sequence[str], number: int) -> list[str]:
    """The first words of such text."""
    found: list[str] = []
    for line in _endless_lines([Path(source) for source in sources]):
        found += line.decode().split()
        if len(found) >= number:
            break
    return found[:number]


def _endless_lines(sources: Sequence[Path]) -> Iterator[bytes]:
    sample = [] if sources else [f"{document.text}\n\n".encode() for document in sample_documents("en")]
    while True:
        for text in sample:
            yield from text.splitlines(keepends=True)
        for path in sources:
            with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
                yield from file
            yield b"\n\n"  # between two documents
