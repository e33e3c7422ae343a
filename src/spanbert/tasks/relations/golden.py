"""A few inputs from the sample corpus whose predictions are stored with a model."""

from __future__ import annotations

from collections.abc import Sequence

from spanbert.tasks.relations.examples import Entity, Relation, RelationExample

_DOCUMENTS = 2
_ENTITIES = 4


def golden_relations() -> Sequence[RelationExample]:
    """Of both languages, paragraphs with an annotated relation: one pair of each, and of one all pairs of entities."""
    from spanbert.sample_corpus import sample_documents

    examples: list[RelationExample] = []
    for language in ("en", "zh"):
        documents = [document for document in sample_documents(language) if document.relations][:_DOCUMENTS]
        for number, document in enumerate(documents):
            relation = document.relations[0]
            start = document.text.rfind("\n", 0, relation.head.start) + 1
            end = document.text.find("\n", start)
            text = document.text[start : end if end >= 0 else None]
            wanted = [relation.head, relation.tail]
            if not number:  # all pairs of a few
                inside = (one for one in document.entities if start <= one.start and one.end <= start + len(text))
                wanted += [one for one in inside if one not in wanted][: _ENTITIES - 2]
            examples.append(
                RelationExample(
                    id=document.name,
                    text=text,
                    entities=tuple(Entity(one.start - start, one.end - start, one.type) for one in wanted),
                    asked=((0, 1),) if number else None,
                    relations=(Relation(0, 1, relation.type),),
                )
            )
    return examples
