"""From names on the command line to streams of bytes: files, folders, globs, standard input, .gz and .zst."""

from __future__ import annotations

import contextlib
import glob
import gzip
import hashlib
import importlib
import io
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

from spanbert.errors import InputError, MissingDependencyError
from spanbert.read_summary import FileSummary

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Format = Literal["txt", "jsonl", "csv", "parquet"]
Compression = Literal["gz", "zst"]

STDIN = "<stdin>"
KNOWN_ENDINGS = "known endings are .txt, .jsonl, .csv and .parquet, each also with .gz or .zst"

_CHUNK = 1 << 18
"""Bytes of text handled at a time: large enough to hide Python's overhead, small enough to stay in the cache."""
_COMPRESSED_CHUNK = 1 << 14
"""Bytes of .zst fed at a time: all that they decompress to comes at once, which may be some hundred times as much."""
_MAX_WINDOW = 1 << 31
"""Zstandard's largest window, which large public dumps are compressed with (`zstd --long=31`)."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file to read (or not to), as `expand_inputs` found it."""

    path: Path | None
    """None for standard input."""
    name: str
    """How messages, summaries and `Document.source` call it."""
    format: Format | None
    """None where the name does not tell: standard input, and files that are skipped."""
    compression: Compression | None = None
    num_bytes: int | None = None
    """Size on disk; None for standard input."""
    skip_reason: str | None = None
    """Why the file is not read; None if it is."""


def expand_inputs(inputs: Sequence[str]) -> list[InputFile]:
    """List the files behind file names, folders, glob patterns and `-` (standard input), each file once.

    Folders are searched recursively, in sorted order, links followed. What they (or a pattern) hold beside files with a
    known ending stands at the list's end with a `skip_reason`, so that the summary can tell; hidden files and folders
    too.

    Raises:
        InputError: A name or pattern matches nothing, a named file's ending is unknown, or nothing is left to read.
        MissingDependencyError: A file needs `pyarrow` (.parquet) or `zstandard` (.zst) and it is not installed.
    """
    found: list[InputFile] = []
    for name in inputs:
        try:
            found.extend(_files_of(name))
        except OSError as error:
            raise InputError(_explain(error, None), source=name) from error
    unique: dict[Path | None, InputFile] = {}
    for file in sorted(found, key=lambda file: file.skip_reason is not None):  # what one input names, none skips
        unique.setdefault(file.path.resolve() if file.path else None, file)
    files = list(unique.values())
    if all(file.skip_reason is not None for file in files):
        where = ", ".join(inputs) if inputs else "no input was named"
        raise InputError(f"nothing to read: {KNOWN_ENDINGS}; `-` is standard input", source=where)
    if any(file.compression == "zst" for file in files):
        import_zstandard()
    if any(file.format == "parquet" for file in files):
        import_pyarrow()
    return files


def read_chunks(file: InputFile, counts: FileSummary) -> Iterator[bytes]:
    """Yield the file's bytes, decompressed, in chunks of a bounded size; none is empty.

    Counts the raw bytes on the way and hashes them; `counts.sha256` is set when the file's end is reached.

    Raises:
        InputError: The file cannot be read, is cut off, or is not compressed as its name says.
        MissingDependencyError: A .zst file without `zstandard`.
    """
    zstandard = import_zstandard() if file.compression == "zst" else None
    problems: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error)
    if zstandard is not None:
        problems = (*problems, zstandard.ZstdError)
    try:
        with _open_raw(file) as raw:
            reader = _HashingReader(raw, counts)
            if file.compression is None:
                yield from _blocks_of(reader)
            elif zstandard is None:
                with gzip.GzipFile(fileobj=reader, mode="rb") as unzipped:
                    yield from _blocks_of(unzipped)
            else:
                yield from _unzstd(reader, zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW))
    except problems as error:
        raise InputError(_explain(error, file.compression), source=file.name) from error


def import_zstandard() -> Any:
    """Return the module `zstandard`, or raise MissingDependencyError."""
    return _optional_module("zstandard", extra="zstd", purpose="reading .zst files")


def import_pyarrow() -> Any:
    """Return the module `pyarrow`, with `pyarrow.parquet` loaded, or raise MissingDependencyError."""
    _optional_module("pyarrow.parquet", extra="parquet", purpose="reading .parquet files")
    return importlib.import_module("pyarrow")


def _optional_module(name: str, *, extra: str, purpose: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(name.partition(".")[0], extra, purpose) from error


def _files_of(name: str) -> Iterator[InputFile]:
    path = Path(name)
    if name == "-":
        yield InputFile(path=None, name=STDIN, format=None)
    elif path.is_dir():
        yield from _files_below(path)
    elif path.exists():
        file = _input_file(path)
        if file.skip_reason is not None:
            raise InputError(f"the name does not tell the format: {KNOWN_ENDINGS}", source=name)
        yield file
    elif any(character in name for character in "*?["):
        yield from _files_of_pattern(name)
    else:
        raise InputError("there is no such file or folder", source=name)


def _input_file(path: Path) -> InputFile:
    """Tell format and compression from the name's ending, in upper or lower case."""
    stem, _, ending = path.name.lower().rpartition(".")
    compression: Compression | None = None
    for known_compression in get_args(Compression):
        if ending == known_compression:
            compression = known_compression
            ending = stem.rpartition(".")[2]
    for known_format in get_args(Format):
        if ending == known_format:
            num_bytes = path.stat().st_size if path.exists() else None
            return InputFile(path, str(path), known_format, compression, num_bytes)
    return InputFile(path, str(path), None, skip_reason="unknown ending")


def _files_below(folder: Path) -> Iterator[InputFile]:
    seen: set[Path] = set()  # links can make a folder its own descendant

    def fail(error: OSError) -> None:
        raise InputError(_explain(error, None), source=str(error.filename)) from error

    for root, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        here = Path(root)
        if here.resolve() in seen:
            folders.clear()
            continue
        seen.add(here.resolve())
        hidden = sorted(name for name in (*folders, *names) if name.startswith("."))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            yield _input_file(here / name)
        for name in hidden:
            yield InputFile(here / name, str(here / name), None, skip_reason="hidden")


def _files_of_pattern(pattern: str) -> Iterator[InputFile]:
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob refuses absolute patterns
    if not matches:
        raise InputError("no file matches this pattern", source=pattern)
    for path in map(Path, matches):
        if path.is_dir():
            yield from _files_below(path)
        else:
            yield _input_file(path)


def _open_raw(file: InputFile) -> contextlib.AbstractContextManager[BinaryIO]:
    if file.path is None:
        return contextlib.nullcontext(sys.stdin.buffer)  # not ours to close
    return file.path.open("rb")


class _HashingReader(io.RawIOBase):
    """Passes a file's bytes on, counting and hashing them."""

    def __init__(self, raw: BinaryIO, counts: FileSummary) -> None:
        self._raw = raw
        self._counts = counts
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        # `read1` gives what a pipe holds right now instead of waiting for a full buffer.
        data: bytes = self._raw.read1(len(view))  # type: ignore[attr-defined]
        view[: len(data)] = data
        self._hash.update(data)
        self._counts.num_bytes += len(data)
        if not data:
            self._counts.sha256 = self._hash.hexdigest()
        return len(data)


def _blocks_of(reader: io.RawIOBase | gzip.GzipFile) -> Iterator[bytes]:
    while block := reader.read(_CHUNK):
        yield block


def _unzstd(reader: io.RawIOBase, decompressor: Any) -> Iterator[bytes]:
    """Decompress all frames; unlike the library's own file object, notice that the last one is cut off."""
    frame: Any = None
    while data := reader.read(_COMPRESSED_CHUNK):
        while data:
            frame = frame or decompressor.decompressobj()
            if block := frame.decompress(data):
                yield block
            data = b""
            if frame.eof:
                data = frame.unused_data
                frame = None
    if frame is not None:
        raise EOFError


def _explain(error: Exception, compression: Compression | None) -> str:
    if isinstance(error, EOFError):
        return f"the .{compression} file ends too early: it was cut off; copy or download it again"
    if isinstance(error, gzip.BadGzipFile) or not isinstance(error, OSError):
        return f"this is not a sound .{compression} file ({error}); copy it again, or name it without .{compression}"
    return f"cannot be read: {error.strerror or error}"
