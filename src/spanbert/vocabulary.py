"""Learning a WordPiece vocabulary from text, the same one every time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from tokenizers import Tokenizer
from tokenizers.trainers import WordPieceTrainer

from spanbert.errors import ConfigurationError, InputError

_PREFIX = "##"
_NUM_CODE_POINTS = 0x110000
_CHUNK = 1 << 20

_TOO_LONG_WORD = re.compile(r"[^\W_]{101,}")


def train_vocabulary(
    plain: Tokenizer, texts: Sequence[str], vocab_size: int, min_frequency: int, character_coverage: float
) -> dict[str, int]:
    """Return the pieces and their ids: those of `plain` (the special ones) first, then characters, then longer pieces.

    `plain` gives the normaliser and the pre-tokeniser. The library's trainer numbers the continuing characters in the
    order of a hash map, which changes from run to run, and breaks ties between pairs by these numbers. So the
    characters are chosen and numbered here and given to the trainer as fixed pieces.

    Raises `InputError` where there is no character to learn from, `ConfigurationError` for a size too small.
    """
    special_ids = plain.get_vocab()
    special = sorted(special_ids, key=special_ids.__getitem__)
    if vocab_size < len(special) + 2:
        raise ConfigurationError(f"a vocabulary of {vocab_size} pieces is too small: {len(special)} are special ones")
    # No piece comes of a word that is too long to be tokenised, and the trainer's time grows with its square.
    texts = [_TOO_LONG_WORD.sub(" ", text) for text in texts]
    characters = _alphabet(plain, texts, character_coverage)
    if not characters:
        raise InputError("there is no text to learn a vocabulary from")
    first, continuing = _fitting(plain, characters, (vocab_size - len(special) + 1) // 2)
    trainer = WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[*special, *continuing],
        initial_alphabet=first,
        limit_alphabet=len(first),
        show_progress=False,
    )
    plain.train_from_iterator(texts, trainer=trainer, length=len(texts))
    learned = plain.get_vocab()
    fixed = [*special, *first, *continuing]
    known = set(fixed)
    pieces = fixed + sorted((piece for piece in learned if piece not in known), key=learned.__getitem__)
    return {piece: number for number, piece in enumerate(pieces)}


def _alphabet(plain: Tokenizer, texts: Sequence[str], coverage: float) -> list[str]:
    """Return the normalised characters that make up `coverage` of the text, the most frequent first."""
    counts = np.zeros(_NUM_CODE_POINTS, dtype=np.int64)
    for chunk in _chunks(texts):
        points = np.frombuffer(chunk.encode("utf-32-le"), dtype=np.uint32)
        counts += np.bincount(points, minlength=_NUM_CODE_POINTS)
    normalised: dict[str, int] = {}
    for point in np.flatnonzero(counts):
        for character in plain.normalizer.normalize_str(chr(point)).strip():
            normalised[character] = normalised.get(character, 0) + int(counts[point])
    ranked = sorted(normalised, key=lambda character: (-normalised[character], character))
    wanted = coverage * sum(normalised.values())
    kept, covered = [], 0
    for character in ranked:
        if covered >= wanted:
            break
        kept.append(character)
        covered += normalised[character]
    return kept


def _chunks(texts: Sequence[str]) -> Iterator[str]:
    """Yield the text in parts of about a million characters: the counts are added up once for each part."""
    waiting: list[str] = []
    size = 0
    for text in texts:
        waiting.append(text)
        size += len(text)
        if size >= _CHUNK:
            yield "".join(waiting)
            waiting, size = [], 0
    yield "".join(waiting)


def _fitting(plain: Tokenizer, characters: list[str], room: int) -> tuple[list[str], list[str]]:
    """Return the most frequent characters whose pieces fit into `room`, as first and as continuing pieces, in order.

    Punctuation and CJK ideographs are words of their own, so that they have no continuing piece.
    """
    first: list[str] = []
    continuing: list[str] = []
    for character in characters:
        joined = plain.pre_tokenizer.pre_tokenize_str(plain.normalizer.normalize_str("a" + character))
        pieces = 2 if len(joined) == 1 else 1
        if len(first) + len(continuing) + pieces > room:
            break
        first.append(character)
        if pieces == 2:
            continuing.append(_PREFIX + character)
    return sorted(first), sorted(continuing)
