"""What a model of entities learns from its examples before its weights: the labels, and what they weigh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from spanbert.class_weights import balanced_weights
from spanbert.errors import InputError
from spanbert.spans import Span, find_overlaps
from spanbert.tasks.ner.config import EntitySettings
from spanbert.tasks.ner.data import count_words
from spanbert.tasks.ner.examples import EntityExample
from spanbert.text_columns import is_by_character


def learn_settings(examples: Sequence[EntityExample], settings: EntitySettings) -> EntitySettings:
    """The settings with the labels (by frequency) and their weights, whether entities overlap, and whether words are
    characters.

    Raises:
        InputError: the examples hold no entity.
    """
    counts = Counter(entity.label for example in examples for entity in example.entities or ())
    if not counts:
        raise InputError("the training examples hold no entity: there is nothing to learn")
    labels = tuple(sorted(counts, key=lambda label: (-counts[label], label)))
    flat = settings.flat
    if flat is None:
        spans = ([(entity.start, entity.end) for entity in set(example.entities or ())] for example in examples)
        flat = not any(map(find_overlaps, spans))
    words = (example.text[start:end] for example in examples for start, end in example.words or ())
    weights: tuple[float, ...] = ()
    if settings.class_weights == "balanced":
        # Spans without an entity outnumber entities so much that the span head cannot make them equal; thresholds do.
        classes = [counts[label] for label in labels] if settings.head == "span" else _word_counts(examples, labels)
        weights = balanced_weights(classes)
    return replace(settings, labels=labels, flat=flat, by_character=is_by_character(words), label_weights=weights)


def _word_counts(examples: Sequence[EntityExample], labels: Sequence[str]) -> list[int]:
    """Words outside of entities, then of the entities of each label; in raw text about as many as the tokenizer has."""
    inside: Counter[str] = Counter()
    num_words = 0
    for example in examples:
        if example.entities is not None:
            num_words += count_words(example, Span(0, len(example.text)))
            for entity in set(example.entities):
                inside[entity.label] += count_words(example, entity)
    return [max(0, num_words - inside.total()), *(inside[label] for label in labels)]
