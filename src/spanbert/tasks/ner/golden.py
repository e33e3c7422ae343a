"""A few inputs from the sample corpus whose predictions are stored with a model."""

from __future__ import annotations

from collections.abc import Sequence

from spanbert.spans import LabelledSpan
from spanbert.tasks.ner.examples import EntityExample

_DOCUMENTS = 2
_KINDS = 3


def golden_entities() -> Sequence[EntityExample]:
    """Of both languages, the first paragraphs of two documents that have entities of several kinds there."""
    from spanbert.sample_corpus import sample_documents

    examples: list[EntityExample] = []
    for language in ("en", "zh"):
        chosen: list[EntityExample] = []
        for document in sample_documents(language):
            text = document.text.partition("\n")[0]
            entities = [LabelledSpan(one.start, one.end, one.type) for one in document.entities if one.end <= len(text)]
            if len(chosen) < _DOCUMENTS and len({entity.label for entity in entities}) >= _KINDS:
                chosen.append(EntityExample(document.name, text, tuple(entities)))
        examples += chosen
    return examples
