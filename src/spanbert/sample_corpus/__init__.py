"""A small corpus that ships with the package: short texts in English and Chinese, with many kinds of annotation.

Its texts were written for this project and are dedicated to the public domain (CC0 1.0, see the file LICENSE here).
"""

from spanbert.sample_corpus.markup import ENTITY_TYPES
from spanbert.sample_corpus.reader import (
    KINDS,
    LANGUAGES,
    RELATION_TYPES,
    SENTIMENTS,
    TOPICS,
    Answer,
    Entity,
    Question,
    Relation,
    SampleDocument,
    parse_sample_document,
    read_sample_document,
    sample_documents,
)

__all__ = [
    "ENTITY_TYPES",
    "KINDS",
    "LANGUAGES",
    "RELATION_TYPES",
    "SENTIMENTS",
    "TOPICS",
    "Answer",
    "Entity",
    "Question",
    "Relation",
    "SampleDocument",
    "parse_sample_document",
    "read_sample_document",
    "sample_documents",
]
