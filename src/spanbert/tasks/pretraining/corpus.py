"""A prepared corpus: text as word pieces in memory-mapped files, with all that blocks and masks need.

A corpus is a folder. `manifest.json` says what it holds, how it was made, and the sizes and hashes of its files:

    pieces.bin            uint16 (uint32 for more than 65,536 pieces in the vocabulary) [P]
    word_starts.bin       bool [P], true where a piece is the first of its word
    line_ends.bin         int64 [L], offset after each line's last piece
    document_ends.bin     int64 [number of documents], offset after each document's last piece
    annotation_spans.bin  int64 [A, 2], half-open piece offsets of annotated spans, always whole words
    annotation_kinds.bin  uint8 [A], each span's kind, a number into the manifest's `annotation_kinds`
    piece_counts.bin      int64 [V], how often each piece occurs
    tokenizer/            the tokenizer that made the pieces

The numbers are little-endian. `corpus_writer.py` writes it, and only a whole one gets its name.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from spanbert import randomness
from spanbert.durable_files import hash_file
from spanbert.errors import ConfigurationError, CorpusError
from spanbert.tokenization import PieceTokenizer

FORMAT = "spanbert-corpus"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer"

# File -> type of its numbers; the type of pieces depends on the vocabulary and stands in the manifest.
ARRAYS = {
    "word_starts": "|b1",
    "line_ends": "<i8",
    "document_ends": "<i8",
    "annotation_spans": "<i8",
    "annotation_kinds": "|u1",
    "piece_counts": "<i8",
}

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def piece_type(vocab_size: int) -> str:
    """Return the numpy type string of the smallest whole numbers that hold this vocabulary."""
    return "<u2" if vocab_size <= 1 << 16 else "<u4"


class Corpus:
    """A prepared corpus, opened for reading; the arrays are memory-mapped and cost no memory of their own.

    pieces: uint16 or uint32 [P]. word_starts: bool [P]. line_ends: int64 [L]. document_ends: int64 [documents].
    piece_counts: int64 [V]. manifest: what the manifest says.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        """Use `Corpus.open`, which checks what it opens."""
        self.path = path
        self.manifest = manifest
        self.pieces: npt.NDArray[Any] = self._array("pieces", piece_type(self.vocab_size))
        self.word_starts: BoolArray = self._array("word_starts")
        self.line_ends: Int64Array = self._array("line_ends")
        self.document_ends: Int64Array = self._array("document_ends")
        self.piece_counts: Int64Array = self._array("piece_counts")

    @classmethod
    def open(cls, path: str | Path, tokenizer_fingerprint: str | None = None) -> Self:
        """Open a corpus; with `tokenizer_fingerprint`, only one that was made with that tokenizer.

        Raises `CorpusError` where there is no whole corpus of this format, or it was made with another tokenizer.
        Sizes are checked here, contents by `verify`.
        """
        path = Path(path)
        manifest = read_manifest(path)
        if manifest is None:
            raise CorpusError(
                f"{path} is not a prepared corpus (it has no {MANIFEST}); make one with `spanbert prepare`"
            )
        if manifest.get("format_version") != FORMAT_VERSION:
            raise CorpusError(
                f"{path} has corpus format {manifest.get('format_version')}, and this version reads {FORMAT_VERSION}: "
                "prepare it again"
            )
        for name, file in manifest["files"].items():
            size = (path / name).stat().st_size if (path / name).is_file() else None
            if size != file["num_bytes"]:
                found = "is missing" if size is None else f"has {size:,} bytes instead of {file['num_bytes']:,}"
                raise CorpusError(f"{path / name} {found}: the corpus is damaged, prepare it again")
        corpus = cls(path, manifest)
        if tokenizer_fingerprint is not None and tokenizer_fingerprint != corpus.tokenizer_fingerprint:
            raise CorpusError(
                f"{path} was made with another tokenizer: its fingerprint is {corpus.tokenizer_fingerprint}, the "
                f"model's is {tokenizer_fingerprint}. Prepare the text again with the model's folder as --tokenizer, "
                "or train a model of this corpus's own tokenizer"
            )
        return corpus

    # Counts

    @property
    def num_documents(self) -> int:
        """Documents with at least one piece."""
        return len(self.document_ends)

    @property
    def num_lines(self) -> int:
        """Lines with at least one piece."""
        return len(self.line_ends)

    @property
    def num_words(self) -> int:
        """Words: pre-tokens of the tokenizer, or what the segmenter said."""
        return int(self.manifest["counts"]["num_words"])

    @property
    def num_pieces(self) -> int:
        """Word pieces."""
        return len(self.pieces)

    @property
    def vocab_size(self) -> int:
        """Pieces in the tokenizer's vocabulary."""
        return int(self.manifest["tokenizer"]["vocab_size"])

    # Tokenizer and annotations

    @property
    def tokenizer_fingerprint(self) -> str:
        """The fingerprint of the tokenizer that made the pieces."""
        return str(self.manifest["tokenizer"]["fingerprint"])

    @property
    def hash(self) -> str:
        """One hash for all files of the corpus, as the manifest has them; `verify` compares the files with it."""
        return hashlib.sha256(json.dumps(self.manifest["files"], sort_keys=True).encode()).hexdigest()

    @cached_property
    def tokenizer(self) -> PieceTokenizer:
        """The tokenizer that made the pieces; raises `CorpusError` where the copy in the folder was changed."""
        tokenizer = PieceTokenizer.load(self.path / TOKENIZER)
        if tokenizer.fingerprint != self.tokenizer_fingerprint:
            raise CorpusError(f"{self.path / TOKENIZER} was changed after the corpus was made: prepare it again")
        return tokenizer

    @property
    def annotation_kinds(self) -> tuple[str, ...]:
        """The kinds of annotated spans there are, e.g. ("entity", "noun-phrase")."""
        return tuple(self.manifest["annotation_kinds"])

    def annotations(self, kind: str) -> Int64Array:
        """Return the annotated spans of a kind, half-open piece offsets, int64 [A, 2], ascending, none overlapping.

        Of overlapping spans the one that begins first stays, and of those that begin together the longest.
        Raises `CorpusError` where the corpus has no annotations of that kind.
        """
        if kind not in self.annotation_kinds:
            there = ", ".join(self.annotation_kinds) or "none"
            raise CorpusError(
                f"{self.path} has no annotations of the kind {kind!r} (there are: {there}); give them with the "
                "documents or have spaCy find them with --annotate"
            )
        chosen = self._array("annotation_kinds") == self.annotation_kinds.index(kind)
        spans = np.asarray(self._array("annotation_spans").reshape(-1, 2)[chosen], dtype=np.int64)
        spans = spans[np.lexsort((-spans[:, 1], spans[:, 0]))]
        kept, end = [], 0
        for number, (start, stop) in enumerate(spans.tolist()):
            if start >= end:
                kept.append(number)
                end = stop
        disjoint: Int64Array = spans[np.array(kept, dtype=np.int64)]
        return disjoint

    # Use

    def held_out_documents(self, fraction: float, seed: int) -> BoolArray:
        """Choose documents for validation, bool [number of documents]; the same for the same fraction and seed.

        A larger fraction holds out the same documents and more. `fraction` > 0 of two documents or more holds out at
        least one and leaves at least one. Raises `ConfigurationError` unless 0 <= fraction < 1.
        """
        if not 0 <= fraction < 1:
            raise ConfigurationError(
                f"the held-out fraction of the documents lies in 0..1 (below 1), not at {fraction}"
            )
        num_held_out = round(fraction * self.num_documents)
        if fraction > 0 and self.num_documents > 1:
            num_held_out = min(max(num_held_out, 1), self.num_documents - 1)
        order = randomness.permutation(self.num_documents, seed=seed, epoch=0, purpose="held-out documents")
        held_out = np.zeros(self.num_documents, dtype=np.bool_)
        held_out[order[:num_held_out]] = True
        return held_out

    def verify(self) -> None:
        """Compare every file with its hash; raises `CorpusError` that names the damaged ones."""
        damaged = [
            name for name, file in self.manifest["files"].items() if hash_file(self.path / name) != file["sha256"]
        ]
        if damaged:
            raise CorpusError(f"{self.path} is damaged in {', '.join(damaged)}: prepare it again")

    def describe(self) -> dict[str, Any]:
        """Return what `spanbert info` shows: counts, tokenizer, options, sources, size, versions."""
        keys = ("counts", "tokenizer", "annotation_kinds", "segmenter", "options", "reading", "versions")
        return {
            "kind": "corpus",
            "path": str(self.path),
            "format_version": FORMAT_VERSION,
            "num_bytes": sum(file["num_bytes"] for file in self.manifest["files"].values()),
            **{key: self.manifest[key] for key in keys if key in self.manifest},
        }

    def _array(self, name: str, kind: str | None = None) -> npt.NDArray[Any]:
        file = self.path / f"{name}.bin"
        dtype = np.dtype(kind or ARRAYS[name])
        if file.stat().st_size == 0:  # which cannot be mapped
            return np.zeros(0, dtype=dtype)
        return np.memmap(file, dtype=dtype, mode="r")


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Return the manifest of a corpus folder, None where there is none; raises `CorpusError` for a damaged one."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise CorpusError(f"{path / MANIFEST} is damaged ({error}): delete the corpus, prepare it again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        return None
    return manifest
