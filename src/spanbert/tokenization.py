"""Word pieces, each aligned with its word and its characters; training a vocabulary.

The tokenizer is BERT's: a normaliser, words split at white space and punctuation (every CJK ideograph a word of its
own), and WordPiece: the longest piece first, pieces inside a word beginning with "##".
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import AddedToken, Tokenizer

from spanbert.errors import InputError
from spanbert.segmentation import Segmenter
from spanbert.tokenizer_files import SPECIAL_PIECES, bert_tokenizer, read_tokenizer, write_tokenizer
from spanbert.vocabulary import train_vocabulary

IdArray = npt.NDArray[np.int32]

_FIRST_MARK = 0x300
"""Unicode has no combining mark before this."""
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """The T pieces of one text, without [CLS] and [SEP].

    ids: int32 [T], the pieces.
    offsets: int64 [T, 2], each piece's half-open span in code points of the text exactly as given. Combining marks and
        joiners that the normaliser drops belong to the piece before them; other characters that it drops (zero-width
        spaces, control characters) lie inside a span or between two.
    words: int64 [T], the number of each piece's word, counted from 0, never falling.
    """

    ids: IdArray
    offsets: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]

    @property
    def word_starts(self) -> npt.NDArray[np.bool_]:
        """True where a piece begins a word, bool [T]."""
        return np.diff(self.words, prepend=-1) > 0

    def __len__(self) -> int:
        return len(self.ids)


class FlatIds(NamedTuple):
    """The pieces of several texts, end to end: `ids` int32 [N]; `lengths` int64, the number of pieces of each text."""

    ids: IdArray
    lengths: npt.NDArray[np.int64]


class PieceTokenizer:
    """A BERT tokenizer: text -> word pieces, aligned with words and characters.

    Make one with `load` or `train`. A *word* is a stretch between white space and punctuation (a punctuation mark and
    a CJK ideograph are words of their own), or what a segmenter says.

    Reading text changes nothing in it, so threads can share one.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Wrap a WordPiece tokenizer of the `tokenizers` library that has BERT's special pieces."""
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in SPECIAL_PIECES])
        # Text that happens to contain "[MASK]" is text. `encode(..., recognise_special=True)` has its own tokenizer.
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._set_vocabulary()

    def _set_vocabulary(self) -> None:
        self._ids = self._tokenizer.get_vocab()
        # Vocabularies with a piece listed twice exist: its first id then has no piece.
        self._pieces = [""] * (max(self._ids.values()) + 1)
        for piece, number in self._ids.items():
            self._pieces[number] = piece
        self.vocab_size = len(self._pieces)
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (self._ids[p] for p in SPECIAL_PIECES)
        prefix = self._tokenizer.model.continuing_subword_prefix
        self.continues: npt.NDArray[np.bool_] = np.array([piece.startswith(prefix) for piece in self._pieces])
        self.continues.flags.writeable = False
        for name in ("fingerprint", "_special_tokenizer"):
            self.__dict__.pop(name, None)

    # Making one

    @classmethod
    def load(cls, name_or_path: str | Path) -> Self:
        """Read a tokenizer from a folder (tokenizer.json, or vocab.txt as BERT wrote it) or by its hub name.

        Without tokenizer_config.json, a vocabulary with an upper-case letter in it is taken as cased. Raises
        `CheckpointError` where there is no tokenizer, or none that can be read.
        """
        return cls(read_tokenizer(name_or_path))

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        *,
        vocab_size: int = 16_000,
        lowercase: bool = False,
        min_frequency: int = 2,
        character_coverage: float = 0.9999,
    ) -> Self:
        """Learn a WordPiece vocabulary; the same texts in the same order always give the same one.

        The texts are held in memory. `vocab_size` includes the five special pieces, which come first. The most
        frequent characters, which together make up `character_coverage` of the text, are pieces; a word with another
        character is [UNK]. Each can also continue a word. Pairs seen fewer than `min_frequency` times are not joined,
        so that a small text may give a smaller vocabulary. `lowercase` also strips accents, as BERT does.
        Characters take up half the vocabulary at most. Raises `InputError` where there is no text.
        """
        texts = texts if isinstance(texts, list) else list(texts)
        plain = bert_tokenizer({piece: number for number, piece in enumerate(SPECIAL_PIECES)}, lowercase=lowercase)
        vocabulary = train_vocabulary(plain, texts, vocab_size, min_frequency, character_coverage)
        return cls(bert_tokenizer(vocabulary, lowercase=lowercase))

    # Text to pieces

    def encode(self, text: str, *, segmenter: Segmenter | None = None, recognise_special: bool = False) -> Encoding:
        """Return the pieces of `text`, without [CLS] and [SEP].

        `segmenter`: the words that lie inside one of its words become one word. `recognise_special`: "[MASK]" and the
        other special pieces, written out in the text, become these pieces; otherwise they are text like any other.
        Raises `InputError` for a lone surrogate (half a character), which no encoding can hold.
        """
        return self.encode_batch([text], segmenter=segmenter, recognise_special=recognise_special)[0]

    def encode_batch(
        self, texts: Sequence[str], *, segmenter: Segmenter | None = None, recognise_special: bool = False
    ) -> list[Encoding]:
        """Return the `encode` of each text, several at a time on all cores."""
        tokenizer = self._special_tokenizer if recognise_special else self._tokenizer
        try:
            encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
        except TypeError:
            _check_surrogates(texts)
            raise
        return [_encoding(result, text, segmenter) for result, text in zip(encoded, texts, strict=True)]

    def encode_ids(self, texts: Sequence[str]) -> FlatIds:
        """Return only the pieces of the texts: the fast way for much text. Words start where `continues` is False."""
        try:
            encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        except TypeError:
            _check_surrogates(texts)
            raise
        rows = [np.array(result.ids, dtype=np.int32) for result in encoded]
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        return FlatIds(np.concatenate(rows) if rows else np.zeros(0, np.int32), lengths)

    # Pieces to text

    def piece(self, number: int) -> str:
        """Return the piece with this id; raises `InputError` for an id outside the vocabulary."""
        if not 0 <= number < self.vocab_size:
            raise InputError(f"there is no piece {number}: the vocabulary has 0..{self.vocab_size - 1}")
        return self._pieces[number]

    def id(self, piece: str) -> int:
        """Return the id of a piece; raises `InputError` for one that is not in the vocabulary."""
        try:
            return self._ids[piece]
        except KeyError:
            raise InputError(f"{piece!r} is not a piece of the vocabulary") from None

    def decode(self, ids: Iterable[int]) -> str:
        """Return readable text for pieces: continuing ones joined, no space before punctuation, special ones shown."""
        return str(self._tokenizer.decode([int(number) for number in ids], skip_special_tokens=False))

    @property
    def special_ids(self) -> tuple[int, int, int, int, int]:
        """The ids of [PAD], [UNK], [CLS], [SEP] and [MASK]."""
        return self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id

    # What it is

    @cached_property
    def fingerprint(self) -> str:
        """A hash (64 hexadecimal digits) of all that decides how text becomes pieces.

        It does not depend on the form of the files: tokenizer.json or vocab.txt give the same.
        """
        state = json.loads(self._tokenizer.to_str())
        normalizer = state["normalizer"]
        if normalizer is not None and normalizer["type"] == "BertNormalizer" and normalizer["strip_accents"] is None:
            normalizer["strip_accents"] = normalizer["lowercase"]
        added = [token for token in state["added_tokens"] if token["content"] not in SPECIAL_PIECES]
        parts = {
            "pieces": sorted((number, piece) for piece, number in self._ids.items()),
            "normalizer": normalizer,
            "pre_tokenizer": state["pre_tokenizer"],
            "added": sorted(added, key=lambda token: int(token["id"])),
            "model": {key: value for key, value in state["model"].items() if key != "vocab"},
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()

    def add_words(self, words: Iterable[str]) -> int:
        """Make words whole pieces, with new ids at the end of the vocabulary; return how many are new.

        For continuing to train a model on the text of a field: its terms are then not cut up. They are real pieces,
        not "added tokens": a longer word that begins with one is cut after it. A word of several ("beta-blocker")
        gives each of its parts. Words of more than 100 characters stay [UNK] and are not added.
        """
        state = json.loads(self._tokenizer.to_str())
        vocabulary: dict[str, int] = state["model"]["vocab"]
        known = set(self._ids)
        num_before = len(known)
        for word in words:
            _check_surrogates([word])
            normalizer = self._tokenizer.normalizer
            normalised = word if normalizer is None else normalizer.normalize_str(word)
            for part, _ in self._tokenizer.pre_tokenizer.pre_tokenize_str(normalised):
                if part not in known and len(part) <= self._tokenizer.model.max_input_chars_per_word:
                    vocabulary[part] = self.vocab_size + len(known) - num_before
                    known.add(part)
        tokenizer = Tokenizer.from_str(json.dumps(state))
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._set_vocabulary()
        return len(known) - num_before

    def add_special(self, pieces: Iterable[str]) -> int:
        """Add special pieces, such as markers of entities, at the end of the vocabulary; return how many are new.

        Text never becomes one of them, even where it looks like it: only `id` gives them, and `encode` with
        `recognise_special`. `transformers` opens them as special tokens. Raises `InputError` for a piece that is empty
        or holds a line break or half a character.
        """
        new = [piece for piece in dict.fromkeys(pieces) if piece not in self._ids]
        _check_surrogates(new)
        for piece in new:
            if not piece.strip() or "\n" in piece or "\r" in piece:
                raise InputError(f"{piece!r} cannot be a special piece: it is blank or holds a line break")
        if not new:
            return 0
        state = json.loads(self._tokenizer.to_str())
        state["model"]["vocab"] |= {piece: number for number, piece in enumerate(new, self.vocab_size)}
        tokenizer = Tokenizer.from_str(json.dumps(state))
        tokenizer.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in new])
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._set_vocabulary()
        return len(new)

    def save(self, folder: str | Path) -> None:
        """Write tokenizer.json, tokenizer_config.json and vocab.txt; `transformers` opens them as a BertTokenizer.

        A tokenizer with a normaliser or a pre-tokeniser that is not BERT's is written as a PreTrainedTokenizerFast.
        """
        write_tokenizer(self._tokenizer, self._pieces, Path(folder))

    @cached_property
    def _special_tokenizer(self) -> Tokenizer:
        return Tokenizer.from_str(self._tokenizer.to_str())


def _encoding(result: tokenizers.Encoding, text: str, segmenter: Segmenter | None) -> Encoding:
    words = np.array(result.word_ids, dtype=np.int64)
    offsets = cover_marks(text, np.array(result.offsets, dtype=np.int64).reshape(-1, 2))
    if segmenter is not None and len(words):
        spans = np.array(segmenter(text), dtype=np.int64).reshape(-1, 2)
        words = _join_words(words, offsets[:, 0], spans)
    return Encoding(np.array(result.ids, dtype=np.int32), offsets, words)


def cover_marks(text: str, spans: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Let spans of a text, int64 [T, 2] and ascending, end behind the marks that belong to their last character.

    These are combining marks (variation selectors are among them) and joiners, as far as the next span. A normaliser
    that strips accents drops them, and the library's offsets then end before them: "Malmo\\u0308" would lose its dots.
    """
    if text.isascii() or not len(spans):
        return spans
    ends = spans[:, 1]
    limits = np.append(spans[1:, 0], len(text))
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    gaps = np.flatnonzero(ends < limits)
    gaps = gaps[codes[ends[gaps]] >= _FIRST_MARK]
    if not len(gaps):
        return spans
    covered = spans.copy()
    for number in gaps.tolist():
        end, limit = int(ends[number]), int(limits[number])
        while end < limit and (text[end] in _JOINERS or unicodedata.category(text[end])[0] == "M"):
            end += 1
        covered[number, 1] = end
    return covered


def _join_words(
    words: npt.NDArray[np.int64], begins: npt.NDArray[np.int64], spans: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Number words anew, int64 [T]: neighbouring words that begin inside the same of `spans` [W, 2] are one."""
    span = np.searchsorted(spans[:, 0], begins, side="right") - 1
    inside = span >= 0
    inside[inside] = begins[inside] < spans[span[inside], 1]
    starts = np.diff(words, prepend=-1) > 0
    starts[1:] &= ~(inside[1:] & (span[1:] == span[:-1]))
    # A word that begins in no span starts anew even where its `span` (the last one before it) is its neighbour's.
    return np.cumsum(starts) - 1


def _check_surrogates(texts: Sequence[str]) -> None:
    for text in texts:
        for position, character in enumerate(text):
            if "\ud800" <= character <= "\udfff":
                raise InputError(
                    f"character {position} of the text is a lone surrogate (\\u{ord(character):04x}, half a "
                    "character): remove it or replace it with U+FFFD"
                )
