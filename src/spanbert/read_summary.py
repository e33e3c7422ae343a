"""What was read, what was skipped and why: counts that grow while documents are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(kw_only=True, slots=True)
class Skipped:
    """Records of one file that were left out for one reason."""

    count: int = 0
    first_line: int
    """Line (or record number) of the first of them, from 1."""


@dataclass(kw_only=True, slots=True)
class FileSummary:
    """Counts of one file; a file that is still being read grows."""

    source: str
    """The file's name as it was given or found, `<stdin>` for standard input."""
    num_bytes: int = 0
    """Raw bytes read so far, before decompression: with `InputFile.num_bytes` the progress."""
    sha256: str | None = None
    """Hash of the file's raw bytes in hexadecimal digits; None until the file was read to its end."""
    num_documents: int = 0
    num_lines: int = 0
    """Lines that are not blank (with `unwrap`: paragraphs)."""
    num_characters: int = 0
    """Code points of the documents' texts, line breaks between lines included."""
    num_annotations: int = 0
    num_replaced: int = 0
    """Bytes that are not UTF-8, and lone surrogates out of JSON escapes, that became U+FFFD."""
    first_replaced_line: int | None = None
    num_control_characters: int = 0
    """NUL and other ASCII control characters that are not white space: kept, tokenizers usually drop them."""
    num_cuts: int = 0
    """Places where a very long document of a text file was cut in two at a line's end."""
    skipped: dict[str, Skipped] = field(default_factory=dict)
    """Reason -> the records left out for it."""

    def skip(self, reason: str, line: int) -> None:
        """Count one record that is left out, at `line` (from 1)."""
        self.skipped.setdefault(reason, Skipped(first_line=line)).count += 1

    def replaced(self, count: int, line: int) -> None:
        """Count `count` replaced bytes or characters, the first of them in `line` (from 1)."""
        self.num_replaced += count
        if self.first_replaced_line is None:
            self.first_replaced_line = line


_TOTALS = tuple(count.name for count in dataclasses.fields(FileSummary) if count.name.startswith("num_"))
_MAX_NOTES = 20


@dataclass(slots=True)
class ReadSummary:
    """One row per file that was read, and the files that were not, with the reason."""

    files: list[FileSummary] = field(default_factory=list)
    skipped_files: dict[str, str] = field(default_factory=dict)
    """Name -> why it was not read."""

    def total(self, count: str) -> int:
        """Sum of one count over all files, e.g. `total("num_documents")`."""
        return sum(getattr(file, count) for file in self.files)

    def as_dict(self) -> dict[str, object]:
        """Everything as JSON-like values: `files`, `skipped_files`, and the sums under `total`."""
        return {
            "files": [dataclasses.asdict(file) for file in self.files],
            "skipped_files": dict(self.skipped_files),
            "total": {"num_files": len(self.files)} | {count: self.total(count) for count in _TOTALS},
        }

    def __str__(self) -> str:
        """A few lines for a person: the totals, then whatever was not read as it stands."""
        lines = [
            f"read {counted(self.total('num_documents'), 'document')}, {counted(self.total('num_lines'), 'line')}, "
            f"{counted(self.total('num_characters'), 'character')} from {counted(len(self.files), 'file')}"
        ]
        if annotations := self.total("num_annotations"):
            lines.append(f"with {counted(annotations, 'annotation')}")
        notes = [note for file in self.files for note in _notes(file)]
        notes += [f"not read: {name} ({reason})" for name, reason in self.skipped_files.items()]
        lines += notes[:_MAX_NOTES]
        if len(notes) > _MAX_NOTES:
            lines.append(f"and {counted(len(notes) - _MAX_NOTES, 'note')} more of this kind")
        return "\n".join(lines)


def _notes(file: FileSummary) -> Iterator[str]:
    if not file.num_documents:
        yield f"no text: {file.source}"
    for reason, skipped in file.skipped.items():
        records = counted(skipped.count, "record")
        yield f"skipped: {records} of {file.source} ({reason}), first in line {skipped.first_line}"
    if file.num_replaced:
        replaced = counted(file.num_replaced, "byte")
        yield f"replaced: {replaced} of {file.source} (not UTF-8), first in line {file.first_replaced_line}"
    if file.num_control_characters:
        yield f"kept: {counted(file.num_control_characters, 'control character')} of {file.source}"
    if file.num_cuts:
        yield f"cut: very long documents of {file.source}, at {counted(file.num_cuts, 'line end')}"


def counted(number: int, noun: str) -> str:
    """`1 line`, `2,000 lines`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
