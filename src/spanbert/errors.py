"""Every error a user can meet, as a small tree below `SpanBertError`.

A message says what is wrong, where (file, line, byte offset, option) and what to do about it.
"""

from __future__ import annotations


class SpanBertError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigurationError(SpanBertError):
    """An option is unknown, has a value out of range, or contradicts another."""


class InputError(SpanBertError):
    """The user's text or data cannot be read as given.

    `source` names the file (or `<stdin>`), `line` counts from 1, `offset` is the byte offset from the start of the
    (decompressed) file; what is not known is None.
    """

    def __init__(
        self, message: str, *, source: str | None = None, line: int | None = None, offset: int | None = None
    ) -> None:
        self.source = source
        self.line = line
        self.offset = offset
        where = source or ""
        if line is not None:
            where += f", line {line}" if where else f"line {line}"
        if offset is not None:
            where += f", byte {offset}" if where else f"byte {offset}"
        super().__init__(f"{where}: {message}" if where else message)


class CorpusError(SpanBertError):
    """A prepared corpus is missing, unfinished, damaged, or was made with another tokenizer."""


class CheckpointError(SpanBertError):
    """A model or training checkpoint is missing, damaged, or lacks a part that is needed."""


class TrainingError(SpanBertError):
    """Training cannot go on: the loss is not a number, the disk is full, ..."""


class MissingDependencyError(SpanBertError):
    """An optional package is needed for this and is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package!r}: pip install 'spanbert[{extra}]'")
