"""Where words and phrases lie in a text: word segmenters for writing without spaces, and annotations made by spaCy.

Both are optional packages and are imported only when asked for.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any, Literal, Protocol

from spanbert.documents import Annotation
from spanbert.errors import ConfigurationError, MissingDependencyError
from spanbert.spans import Span

SegmenterName = Literal["jieba"]


class Segmenter(Protocol):
    """Anything that says where the words of a text are."""

    def __call__(self, text: str) -> list[Span]:
        """Return the words of `text` as spans of its code points: ascending, none overlapping, none of white space."""
        ...


class JiebaSegmenter:
    """Chinese words by jieba: a dictionary, and a hidden Markov model for words outside it.

    Raises `MissingDependencyError` where jieba is not installed. The dictionary is read at construction (about a
    second, 150 MB), not at the first text.
    """

    def __init__(self) -> None:
        try:
            # jieba 0.42 has escapes that newer Python versions warn of, and imports the deprecated pkg_resources.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import jieba
        except ImportError as error:
            raise MissingDependencyError("jieba", "chinese", "the segmenter 'jieba'") from error
        jieba.setLogLevel(logging.WARNING)
        self._tokenizer = jieba.Tokenizer()
        self._tokenizer.initialize()

    def __call__(self, text: str) -> list[Span]:
        """Return the words of `text` as spans of its code points; white space is left out."""
        return [Span(start, end) for word, start, end in self._tokenizer.tokenize(text) if not word.isspace()]


def get_segmenter(name: str | None) -> Segmenter | None:
    """Return the segmenter of that name, or None for None.

    Raises `ConfigurationError` for an unknown name and `MissingDependencyError` where its package is not installed.
    """
    if name is None:
        return None
    if name == "jieba":
        return JiebaSegmenter()
    raise ConfigurationError(f"unknown segmenter {name!r}; there is 'jieba'")


def spacy_annotations(model_name: str) -> Callable[[str], list[Annotation]]:
    """Load a spaCy pipeline; return a function that finds the entities and noun phrases of a text.

    The kinds are "entity" (the pipeline's named entities, all labels) and "noun-phrase" (its noun chunks), in code
    points of the text. A pipeline without a parser gives no noun phrases, one without an entity recogniser no entities.

    Raises `MissingDependencyError` where spaCy is not installed and `ConfigurationError` where the pipeline is not.
    """
    try:
        import spacy
    except ImportError as error:
        raise MissingDependencyError("spacy", "spacy", "annotating text with spaCy") from error
    try:
        pipeline: Any = spacy.load(model_name)
    except OSError as error:
        raise ConfigurationError(
            f"the spaCy pipeline {model_name!r} is not installed: python -m spacy download {model_name}"
        ) from error

    def annotate(text: str) -> list[Annotation]:
        parsed = pipeline(text)
        found = [Annotation(entity.start_char, entity.end_char, "entity") for entity in parsed.ents]
        if parsed.has_annotation("DEP"):
            found += [Annotation(chunk.start_char, chunk.end_char, "noun-phrase") for chunk in parsed.noun_chunks]
        return sorted(found, key=lambda annotation: (annotation.start, annotation.end, annotation.kind))

    return annotate
