"""A tiny tokenizer, examples and models for the tests of entity recognition."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from spanbert.encoder import SpanBertConfig
from spanbert.predicting import Predictor
from spanbert.sample_corpus import sample_documents
from spanbert.spans import LabelledSpan
from spanbert.task_model import TaskModel
from spanbert.tasks.ner.config import EntitySettings
from spanbert.tasks.ner.examples import EntityExample, EntityPrediction
from spanbert.tasks.ner.task import NamedEntityRecognition
from spanbert.tokenization import PieceTokenizer

HEADS = ("linear", "crf", "bilstm-crf", "span")


def sample_examples(number: int = 12, language: str = "en") -> list[EntityExample]:
    """The first paragraphs of documents of the sample corpus, with their entities."""
    examples = []
    for document in sample_documents(language)[:number]:
        text = document.text.split("\n")[0]
        entities = [LabelledSpan(e.start, e.end, e.type) for e in document.entities if e.end <= len(text)]
        examples.append(EntityExample(document.name, text, tuple(entities)))
    return examples


def tiny_tokenizer() -> PieceTokenizer:
    texts = [example.text for language in ("en", "zh") for example in sample_examples(30, language)]
    return PieceTokenizer.train(texts, vocab_size=500)


def learned(examples: list[EntityExample], **settings: Any) -> NamedEntityRecognition:
    defaults: dict[str, Any] = {"max_length": 64, "stride": 16, "max_entity_width": 6}
    return NamedEntityRecognition(EntitySettings(**defaults | settings)).learn(examples)


def tiny_model(
    task: NamedEntityRecognition, tokenizer: PieceTokenizer, *, small: bool = False, **fields: Any
) -> TaskModel:
    """A model of random weights, without dropout: as at the beginning of training, or larger."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": tokenizer.vocab_size,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 64,
    }
    settings = {"settings": dataclasses.asdict(task.settings)}
    model = task.model_class()(SpanBertConfig(spanbert=settings, **task.model_fields() | sizes | fields))
    if not small:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(std=0.2)
    return model.eval()


def predict(
    task: NamedEntityRecognition, model: TaskModel, tokenizer: PieceTokenizer, examples: list[EntityExample], **how: Any
) -> list[EntityPrediction]:
    predictor = Predictor(model, task, tokenizer, device="cpu", precision="fp32", threads=1, **how)
    return list(predictor.predict(examples))
