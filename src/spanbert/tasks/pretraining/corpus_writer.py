"""Writing a corpus so that there is a whole one or none.

Everything is written to a hidden folder beside the output, `.NAME.partial`, which gets its name when it is whole and on
the disk. Whatever stops a run, it leaves at most that folder, and the next run clears it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from spanbert.durable_files import hash_file, lies_at, lock_file, sync_to_disk
from spanbert.errors import CorpusError
from spanbert.tasks.pretraining.corpus import (
    ARRAYS,
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    TOKENIZER,
    Corpus,
    Int64Array,
    piece_type,
    read_manifest,
)
from spanbert.tokenization import PieceTokenizer

_LOCK = "unfinished"
_MAX_KINDS = 1 << 8


@dataclass(frozen=True, eq=False)
class EncodedDocuments:
    """Documents as P pieces in L lines; lines and documents without pieces are not among them.

    pieces: [P] of the corpus's type. word_starts: bool [P]. line_lengths: int64 [L], pieces. document_lengths: int64
    [documents], pieces. annotation_spans: int64 [A, 2], half-open offsets into `pieces`. annotation_kinds: A names.
    counts: whatever else was counted, added up over all documents.
    """

    pieces: npt.NDArray[Any]
    word_starts: npt.NDArray[np.bool_]
    line_lengths: Int64Array
    document_lengths: Int64Array
    annotation_spans: Int64Array
    annotation_kinds: list[str]
    counts: dict[str, int] = field(default_factory=dict)


class CorpusWriter:
    """Writes one corpus: `start`, `append` as often as needed, `commit`. Without `commit`, nothing is left.

    Raises `CorpusError` on entering where `output` is taken: by a corpus (unless `overwrite`), by another folder or
    file, or by a run that is writing it now; and wherever writing fails, as on a full disk.
    """

    def __init__(self, output: Path, *, overwrite: bool = False) -> None:
        self.output = Path(os.path.abspath(output))  # noqa: PTH100 - links stay: the output may be one
        self.folder = self.output.with_name(f".{self.output.name}.partial")
        self._replaced = self.output.with_name(f".{self.output.name}.replaced")
        self._overwrite = overwrite
        self._lock: IO[str] | None = None
        self._files: dict[str, _HashedFile] = {}
        self._kinds: dict[str, int] = {}
        self._counts = {"num_documents": 0, "num_lines": 0, "num_words": 0, "num_pieces": 0, "longest_line": 0}

    def __enter__(self) -> Self:
        self._check_output()
        with _explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._take_folder()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            with suppress(OSError):  # what was not written yet may find no room now either
                file.close()
        if (self.folder / _LOCK).exists():
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()

    def start(self, tokenizer: PieceTokenizer) -> None:
        """Save the tokenizer and open the files."""
        with _explained(self.folder):
            tokenizer.save(self.folder / TOKENIZER)
            for name in ("pieces", *ARRAYS):
                self._files[name] = _HashedFile(self.folder / f"{name}.bin")
        self._tokenizer = tokenizer
        self._piece_type = piece_type(tokenizer.vocab_size)
        self._piece_counts = np.zeros(tokenizer.vocab_size, dtype=np.int64)

    def append(self, documents: EncodedDocuments) -> None:
        """Add documents after those that are there."""
        offset = self._counts["num_pieces"]
        kinds = [self._kinds.setdefault(kind, len(self._kinds)) for kind in documents.annotation_kinds]
        if len(self._kinds) > _MAX_KINDS:
            raise CorpusError(f"the annotations have more than {_MAX_KINDS} kinds: join some of them")
        self._write("pieces", documents.pieces, self._piece_type)
        self._write("word_starts", documents.word_starts)
        self._write("line_ends", offset + np.cumsum(documents.line_lengths))
        self._write("document_ends", offset + np.cumsum(documents.document_lengths))
        self._write("annotation_spans", offset + documents.annotation_spans)
        self._write("annotation_kinds", np.array(kinds, dtype=np.uint8))
        self._piece_counts += np.bincount(documents.pieces, minlength=len(self._piece_counts))

        more = documents.counts | {
            "num_documents": len(documents.document_lengths),
            "num_lines": len(documents.line_lengths),
            "num_words": int(documents.word_starts.sum()),
            "num_pieces": len(documents.pieces),
        }
        for name, count in more.items():
            self._counts[name] = self._counts.get(name, 0) + count
        longest = int(documents.line_lengths.max(initial=0))
        self._counts["longest_line"] = max(self._counts["longest_line"], longest)

    @property
    def num_pieces(self) -> int:
        """Pieces written so far."""
        return self._counts["num_pieces"]

    def commit(self, details: dict[str, Any]) -> Corpus:
        """Finish: write the manifest (with `details` in it), give the folder its name, and open it.

        Raises `CorpusError` where there is not a single piece.
        """
        if not self.num_pieces:
            raise CorpusError("the text has no pieces at all: every character of it is one that the tokenizer drops")
        self._write("piece_counts", self._piece_counts)
        with _explained(self.folder):
            files = {path: file.finish() for path, file in ((f"{n}.bin", f) for n, f in self._files.items())}
            for path in sorted((self.folder / TOKENIZER).iterdir()):
                sync_to_disk(path)
                files[f"{TOKENIZER}/{path.name}"] = {"num_bytes": path.stat().st_size, "sha256": hash_file(path)}
            self._write_manifest(files, details)
            sync_to_disk(self.folder / TOKENIZER)
            sync_to_disk(self.folder)
            self._give_name()
        return Corpus.open(self.output)

    def _write(self, name: str, values: npt.NDArray[Any], kind: str | None = None) -> None:
        with _explained(self.folder):
            self._files[name].write(np.ascontiguousarray(values, dtype=np.dtype(kind or ARRAYS[name])))

    def _write_manifest(self, files: dict[str, Any], details: dict[str, Any]) -> None:
        unknown = int(self._piece_counts[self._tokenizer.unk_id])
        manifest = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "counts": self._counts | {"num_unknown_pieces": unknown},
            "annotation_kinds": list(self._kinds),
            "tokenizer": {
                "fingerprint": self._tokenizer.fingerprint,
                "vocab_size": self._tokenizer.vocab_size,
                **details.get("tokenizer", {}),
            },
            **{key: value for key, value in details.items() if key != "tokenizer"},
            "files": files,
        }
        path = self.folder / MANIFEST
        path.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        sync_to_disk(path)

    # Where it goes

    def _check_output(self) -> None:
        if not self.output.exists() and self._replaced.is_dir():
            self._replaced.rename(self.output)  # a run stopped between the two renames of `_give_name`
        if not self.output.exists() or (self.output.is_dir() and not any(self.output.iterdir())):
            return
        if not self.output.is_dir() or read_manifest(self.output) is None:
            raise CorpusError(f"{self.output} is there already and is not a corpus: choose another --output")
        if not self._overwrite:
            raise CorpusError(f"{self.output} holds a corpus already: --overwrite replaces it")

    def _take_folder(self) -> None:
        """Make the partial folder ours: nobody else writes it now, and what an earlier run left in it is gone."""
        path_of_lock = self.folder / _LOCK
        if not path_of_lock.exists() and any(self.folder.iterdir()):
            raise CorpusError(f"{self.folder} is in the way and was not made by this program: move it elsewhere")
        lock = path_of_lock.open("a")
        # A run that was just ending has renamed the folder, so that the lock taken is not the one that lies there.
        if not lock_file(lock) or not lies_at(lock, path_of_lock):
            lock.close()
            raise CorpusError(
                f"another run is writing {self.output} now. (A Python script that calls `prepare` needs "
                "`if __name__ == '__main__':` around the call, or workers=1)"
            )
        self._lock = lock
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != path_of_lock:
                path.unlink()

    def _give_name(self) -> None:
        (self.folder / _LOCK).unlink()
        if self._replaced.is_dir():
            shutil.rmtree(self._replaced)
        if self.output.exists():
            self.output.rename(self._replaced)
        self.folder.rename(self.output)
        sync_to_disk(self.output.parent)
        if self._replaced.is_dir():
            shutil.rmtree(self._replaced)


class _HashedFile:
    """A new file that is hashed while it is written."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("xb")
        self._hash = hashlib.sha256()
        self._num_bytes = 0

    def close(self) -> None:
        self._file.close()

    def write(self, values: npt.NDArray[Any]) -> None:
        data = values.data.cast("B") if values.size else b""
        self._file.write(data)
        self._hash.update(data)
        self._num_bytes += len(data)

    def finish(self) -> dict[str, Any]:
        """Bring the file to the disk; return its size and hash."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return {"num_bytes": self._num_bytes, "sha256": self._hash.hexdigest()}


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CorpusError(f"cannot write {folder}: {error.strerror or error}; no corpus was made") from error
