"""A few inputs from the sample corpus whose predictions are stored with a model."""

from __future__ import annotations

from collections.abc import Sequence

from spanbert.tasks.classification.examples import ClassificationExample


def golden_reviews() -> Sequence[ClassificationExample]:
    """Of both languages, the beginnings of a review of each sentiment."""
    from spanbert.sample_corpus import sample_documents

    chosen: dict[tuple[str, str], ClassificationExample] = {}
    for document in sample_documents():
        if document.sentiment is not None:
            example = ClassificationExample(
                id=document.name, text=document.text.partition("\n")[0], label=document.sentiment
            )
            chosen.setdefault((document.language, document.sentiment), example)
    return list(chosen.values())
