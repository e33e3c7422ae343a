"""A tiny encoder and tasks of relations on it, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from spanbert.checkpoint_saving import save_pretraining_model
from spanbert.sample_corpus import sample_documents
from spanbert.task_checkpoints import new_task_model
from spanbert.task_model import TaskModel
from spanbert.tasks.pretraining.head import PretrainingSettings, SpanBertForPreTraining, initial_config
from spanbert.tasks.relations.config import RelationSettings
from spanbert.tasks.relations.examples import Entity, Relation, RelationExample
from spanbert.tasks.relations.task import RelationExtraction
from spanbert.tokenization import PieceTokenizer

WAYS = [("typed-markers", "cls"), ("typed-markers", "spans"), ("type-tokens", "cls"), ("type-tokens", "spans")]
WAYS.append(("plain", "spans"))


def train_tokenizer() -> PieceTokenizer:
    texts = [document.text for document in sample_documents()][::8]
    return PieceTokenizer.train(texts, vocab_size=900, character_coverage=0.99)


def save_encoder(folder: Path) -> Path:
    """An encoder with random weights, as a folder."""
    tokenizer = train_tokenizer()
    config = initial_config(
        PretrainingSettings(sbo_positions=0),
        vocab_size=tokenizer.vocab_size + 3,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=128,
    )
    torch.manual_seed(0)
    model = SpanBertForPreTraining(config)
    save_pretraining_model(model, tokenizer, folder)
    return folder


def documents(number: int, language: str | None = None) -> list[RelationExample]:
    """Documents of the sample corpus, with all their entities and relations."""
    examples = []
    for document in [one for one in sample_documents(language) if one.relations][:number]:
        places = {entity: place for place, entity in enumerate(document.entities)}
        relations = tuple(Relation(places[one.head], places[one.tail], one.type) for one in document.relations)
        entities = tuple(Entity(one.start, one.end, one.type) for one in document.entities)
        examples.append(RelationExample(id=document.name, text=document.text, entities=entities, relations=relations))
    return examples


def sentences(number: int) -> list[RelationExample]:
    """Documents as questions about one pair each: a relation, or the same pair the other way round, without one."""
    examples = []
    for place, document in enumerate(documents(number)):
        assert document.relations
        relation = document.relations[0]
        entities = document.entities[relation.head], document.entities[relation.tail]
        label = relation.label
        if place % 2:
            entities, label = (entities[1], entities[0]), "no_relation"
        relations = (Relation(0, 1, label),)
        examples.append(
            RelationExample(id=document.id, text=document.text, entities=entities, asked=((0, 1),), relations=relations)
        )
    return examples


def make_model(
    folder: Path, examples: list[RelationExample], **options: Any
) -> tuple[TaskModel, RelationExtraction, PieceTokenizer]:
    """A task that has learned from the examples, and an untrained model for it."""
    task = RelationExtraction(RelationSettings(**{"max_length": 64, "stride": 16, **options})).learn(examples)
    model, tokenizer, _ = new_task_model(task, folder)
    return model, task, tokenizer
