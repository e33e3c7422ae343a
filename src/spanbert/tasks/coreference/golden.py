"""Inputs whose answers are stored with a model."""

from __future__ import annotations

from collections.abc import Sequence

from spanbert.sample_corpus import sample_documents
from spanbert.tasks.coreference.examples import CoreferenceExample

_NUM_PARAGRAPHS = 4


def golden_examples() -> Sequence[CoreferenceExample]:
    """The beginnings of two English and two Chinese documents of the sample corpus."""
    documents = [document for language in ("en", "zh") for document in sample_documents(language)[:2]]
    return [
        CoreferenceExample(document.name, "\n".join(document.text.split("\n")[:_NUM_PARAGRAPHS]))
        for document in documents
    ]
