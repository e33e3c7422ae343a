"""Pre-train span-aware Transformer encoders (SpanBERT) on your own text, fine-tune them, and use them.

    from spanbert import PrepareConfig, PretrainConfig, finetune, load, prepare, pretrain

The names below are the public surface. They are imported when they are first used, because torch and transformers take
seconds to import and half of the package does without them.
"""

# ruff: noqa: F401  # what is imported for type checkers is exported through __all__
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spanbert.ablation.ablate import AblationResult, ablate
    from spanbert.ablation.config import AblateConfig
    from spanbert.checkpoints import LoadReport, load_pretraining_model, save_pretraining_model
    from spanbert.documents import Annotation, Document, ReadConfig, ReadSummary, expand_inputs, read_documents
    from spanbert.encoder import SpanBertConfig, SpanBertModel
    from spanbert.errors import (
        CheckpointError,
        ConfigurationError,
        CorpusError,
        InputError,
        MissingDependencyError,
        SpanBertError,
        TrainingError,
    )
    from spanbert.estimators.spans import EntityRecognizer, QuestionAnswerer, RelationClassifier
    from spanbert.estimators.texts import MultiLabelTextClassifier, TextClassifier, TextRegressor
    from spanbert.finetuning.finetune import FinetunedModel, finetune
    from spanbert.loading import SpanBertPredictor, load
    from spanbert.sample_corpus import SampleDocument, sample_documents
    from spanbert.spans import Span
    from spanbert.tasks.pretraining.config import PretrainConfig
    from spanbert.tasks.pretraining.corpus import Corpus
    from spanbert.tasks.pretraining.evaluate import EvaluateConfig, evaluate_pretraining
    from spanbert.tasks.pretraining.head import SpanBertForPreTraining
    from spanbert.tasks.pretraining.masking import MaskingConfig
    from spanbert.tasks.pretraining.prepare import PrepareConfig, prepare
    from spanbert.tasks.pretraining.pretrain import PretrainingResult, pretrain
    from spanbert.tasks.pretraining.span_filler import Candidate, FilledSpan, FilledText, SpanFiller
    from spanbert.tokenization import Encoding, PieceTokenizer

_PRETRAINING = "spanbert.tasks.pretraining"
_ERRORS = (
    "CheckpointError",
    "ConfigurationError",
    "CorpusError",
    "InputError",
    "MissingDependencyError",
    "SpanBertError",
    "TrainingError",
)
_READING = ("Annotation", "Document", "ReadConfig", "ReadSummary", "expand_inputs", "read_documents")
_HOMES = {
    "spanbert.ablation.ablate": ("AblationResult", "ablate"),
    "spanbert.ablation.config": ("AblateConfig",),
    "spanbert.checkpoints": ("LoadReport", "load_pretraining_model", "save_pretraining_model"),
    "spanbert.documents": _READING,
    "spanbert.encoder": ("SpanBertConfig", "SpanBertModel"),
    "spanbert.errors": _ERRORS,
    "spanbert.estimators.spans": ("EntityRecognizer", "QuestionAnswerer", "RelationClassifier"),
    "spanbert.estimators.texts": ("MultiLabelTextClassifier", "TextClassifier", "TextRegressor"),
    "spanbert.finetuning.finetune": ("FinetunedModel", "finetune"),
    "spanbert.loading": ("SpanBertPredictor", "load"),
    "spanbert.sample_corpus": ("SampleDocument", "sample_documents"),
    "spanbert.spans": ("Span",),
    "spanbert.tokenization": ("Encoding", "PieceTokenizer"),
    f"{_PRETRAINING}.config": ("PretrainConfig",),
    f"{_PRETRAINING}.corpus": ("Corpus",),
    f"{_PRETRAINING}.evaluate": ("EvaluateConfig", "evaluate_pretraining"),
    f"{_PRETRAINING}.head": ("SpanBertForPreTraining",),
    f"{_PRETRAINING}.masking": ("MaskingConfig",),
    f"{_PRETRAINING}.prepare": ("PrepareConfig", "prepare"),
    f"{_PRETRAINING}.pretrain": ("PretrainingResult", "pretrain"),
    f"{_PRETRAINING}.span_filler": ("Candidate", "FilledSpan", "FilledText", "SpanFiller"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # one list of names, in the table above


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'spanbert' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
