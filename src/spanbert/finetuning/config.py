"""The options of `spanbert finetune`, for every task; a task's own come beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spanbert.errors import ConfigurationError
from spanbert.shipped_models import DEFAULT_MODEL
from spanbert.training.config import TrainingConfig

_BERT_WIDTH = 768
_HIGHEST_DEFAULT = 3e-4


def default_learning_rate(of_bert: float, width: int) -> float:
    """The highest learning rate where the user names none: the task's, falling with the square of the encoder's width.

    The square and its limit are a rule of thumb between what is known: 24 layers x 1024 learn best at 1e-5 to 2e-5
    (Joshi et al. 2020, appendix B), 12 x 768 at 2e-5 to 5e-5 (Devlin et al. 2019, appendix A.3), and BERTs from 128 to
    512 wide at up to 3e-4 (Turc et al. 2019).

    Args:
        of_bert: the task's, for an encoder 768 wide.
        width: hidden width of the encoder.
    """
    return min(of_bert * (_BERT_WIDTH / width) ** 2, max(_HIGHEST_DEFAULT, of_bert))


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(TrainingConfig):
    """How a model is fine-tuned, wherever its examples come from."""

    model: str = DEFAULT_MODEL
    """Where to start: a folder or hub name of any BERT-like model, such as what `spanbert pretrain` wrote, or the name
    of a shipped model."""

    max_dev_examples: int = 2000
    """Most dev examples that each validation predicts, evenly spread; the figures at the end are over all of them."""

    epochs: float = 4.0
    """Passes over the training data."""

    batch_size: int = 16
    """Windows (for classification: texts) of one optimiser step."""

    learning_rate: float = 0.0
    """Highest learning rate. 0 means the task's own for an encoder of this width: narrow ones need higher rates. The
    run says which it is."""

    head_learning_rate: float | None = None
    """Highest learning rate of what is not the encoder. When not given, that of the encoder; the span head of entities
    has one of its own. The run says which it is."""

    validate_every: int = 0
    """Steps between two validations; 0 means one after each epoch."""

    layer_decay: float = 1.0
    """Each layer of the encoder learns at this multiple of the rate of the layer above it; 1 means all alike."""

    freeze_layers: int = 0
    """The embeddings and this many of the lowest layers stay as they are; -1 freezes the whole encoder."""

    freeze_embeddings: bool = False
    """The embeddings stay as they are, as under --freeze-layers and --lora-rank, and all layers learn: then several
    models of one encoder can share them (`spanbert convert --base`)."""

    dropout: float | None = None
    """Dropout of the encoder's states; as the model has it when not given."""

    attention_dropout: float | None = None
    """Dropout of attention weights; as the model has it when not given."""

    lora_rank: int = 0
    """Train low-rank adapters of this rank instead of the encoder (LoRA, needs peft); 0 trains the encoder. They are
    merged into the model at the end."""

    lora_alpha: float = 16.0
    """Scale of the adapters."""

    lora_dropout: float = 0.05
    """Dropout in front of the adapters."""

    patience: int = 0
    """Stop when so many validations in a row brought no better figure; 0 never stops early."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigurationError: an option is out of range.
        """
        super().__post_init__()
        if not 0 < self.layer_decay <= 1:
            raise ConfigurationError(f"--layer-decay is above 0 and at most 1, not {self.layer_decay}")
        for name in ("dropout", "attention_dropout", "lora_dropout"):
            if not 0 <= (getattr(self, name) or 0) < 1:
                raise ConfigurationError(
                    f"--{name.replace('_', '-')} is a share from 0 to below 1, not {getattr(self, name)}"
                )
        for name in ("head_learning_rate", "lora_alpha"):
            if (value := getattr(self, name)) is not None and not 0 < value < float("inf"):
                raise ConfigurationError(f"--{name.replace('_', '-')} must be above 0, not {value}")
        for name, least in (("max_dev_examples", 1), ("patience", 0), ("lora_rank", 0)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"--{name.replace('_', '-')} is at least {least}, not {getattr(self, name)}")
        if self.freeze_layers < -1:
            raise ConfigurationError(f"--freeze-layers is -1 (all) or a number of layers, not {self.freeze_layers}")
        if self.lora_rank and self.freeze_layers:
            raise ConfigurationError("--lora-rank freezes the encoder already: leave --freeze-layers out")


@dataclass(frozen=True, kw_only=True)
class FinetuneFilesConfig(FinetuneConfig):
    """Fine-tune a model on examples with known answers.

    The folder that comes out holds the model of the checkpoint that was best on the dev set, with its tokenizer,
    labels, thresholds, metrics, curves and model card. Open it with `spanbert predict`, `spanbert evaluate`,
    `spanbert.load`, or plain transformers.
    """

    train: Path
    """Examples to learn from, in a format that `spanbert check TASK` reads."""

    dev: Path | None = None
    """Examples that choose the best checkpoint, thresholds and probabilities; split off --train when not given."""

    dev_share: float = 0.1
    """Share of --train that becomes the dev set when there is no --dev: chosen by --seed, labels in proportion, and
    examples that belong together (questions of one article) on one side."""

    seeds: int = 1
    """Train so many models with --seed, --seed + 1, ..., tell mean and spread, and keep the best on the dev set."""

    golden: Path | None = None
    """Inputs (JSON lines, as for `spanbert predict`) whose answers are stored with the model and checked when it is
    opened with other versions; a few texts of the sample corpus when not given."""

    strict: bool = False
    """Stop at a bad record of a data file; otherwise it is left out, counted and shown."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigurationError: an option is out of range.
        """
        super().__post_init__()
        if not 0 < self.dev_share < 1:
            raise ConfigurationError(f"--dev-share is a share between 0 and 1, not {self.dev_share}")
        for name in ("train", "dev", "golden"):
            if str(getattr(self, name)) == "-":
                raise ConfigurationError(f"--{name} -: a run that can be repeated needs a file, not standard input")
        if self.seeds < 1:
            raise ConfigurationError(f"--seeds is at least 1, not {self.seeds}")
