"""The pre-training heads and the model that is trained: masked pieces, span boundaries, next sentences.

Vocabulary logits exist for masked positions only: at 15 % masking every other row would be computed for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, initialization
from transformers.activations import ACT2FN

from spanbert.encoder import SpanBertConfig, SpanBertModel, SpanBertPreTrainedModel
from spanbert.span_representations import boundary_representation
from spanbert.tasks.pretraining.batches import PretrainingBatch
from spanbert.tasks.pretraining.vocabulary_loss import Predicted, summed_losses
from spanbert.training.contract import StepOutput

SBO_POSITION_WIDTH = 200
"""Width of the position embeddings of the span boundary objective (Joshi et al. 2019, section 4.2)."""


FORMAT = 1
"""The version of what stands under `spanbert` in config.json."""


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings:
    """What `config.json` says of a pre-trained model, under `spanbert`."""

    sbo_positions: int = 20
    """Rows of the position table of the span boundary objective; 0 means that the model has no such head."""

    nsp: bool = False
    """Whether there is a next-sentence head."""

    trained_positions: int | None = None
    """So many rows of the position table have been trained; None means all, or that nobody has said."""

    @classmethod
    def of(cls, config: PreTrainedConfig) -> PretrainingSettings:
        """Read the settings from a model's configuration; a plain BERT folder has neither head."""
        settings = getattr(config, "spanbert", None) or {}
        return cls(
            sbo_positions=int(settings.get("sbo_positions", 0)),
            nsp=bool(settings.get("nsp", False)),
            trained_positions=settings.get("trained_positions"),
        )

    def to_json(self) -> dict[str, Any]:
        """What stands in config.json."""
        trained = {} if self.trained_positions is None else {"trained_positions": self.trained_positions}
        return {"format": FORMAT, "task": "pretraining", "sbo_positions": self.sbo_positions, "nsp": self.nsp} | trained


class TransformLayer(nn.Module):
    """Linear, activation, layer normalisation: BERT's transform before the output embeddings."""

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, D] -> [M, D]."""
        transformed: Tensor = self.LayerNorm(self.activation(self.dense(hidden)))
        return transformed


class MaskedPieceHead(nn.Module):
    """Logits of the masked pieces from their own states (Devlin et al. 2019, section 3.1), tied to the embeddings."""

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__()
        self.transform = TransformLayer(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, states: Tensor) -> Tensor:
        """[M, D] states of masked pieces -> [M, V] logits."""
        logits: Tensor = self.decoder(self.transform(states))
        return logits

    def predicted(self, states: Tensor, labels: Tensor) -> Predicted:
        """[M, D] states of masked pieces and their [M] labels -> what a loss without logits needs."""
        return Predicted(self.transform(states), self.bias, labels)


class SpanBoundaryHead(nn.Module):
    """Logits of a span's pieces from the two pieces outside it and their place in it (Joshi et al. 2019, section 3.2).

    For a masked span (s..e), piece i is predicted from [x_{s-1}; x_{e+1}; p_{i-s+1}] through two layers of linear,
    GELU and layer normalisation, then the tied output embeddings with a bias of their own.
    """

    def __init__(self, config: SpanBertConfig, num_positions: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.position_embeddings = nn.Embedding(num_positions, SBO_POSITION_WIDTH)
        self.linear1 = nn.Linear(2 * width + SBO_POSITION_WIDTH, width)
        self.layer_norm1 = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.linear2 = nn.Linear(width, width)
        self.layer_norm2 = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(
        self, hidden: Tensor, left: Tensor, right: Tensor, span: Tensor, offset: Tensor, output_embeddings: Tensor
    ) -> Tensor:
        """Logits [M, V] of M span pieces; the first arguments are those of `features`.

        Args:
            hidden, left, right, span, offset: see `features`.
            output_embeddings: [V, D] the tied piece embeddings.
        """
        return F.linear(self.features(hidden, left, right, span, offset), output_embeddings, self.bias)

    def features(self, hidden: Tensor, left: Tensor, right: Tensor, span: Tensor, offset: Tensor) -> Tensor:
        """What is multiplied with the output embeddings.

        The first layer is linear in its three parts, so the boundary part is computed once a span and the position part
        once a row of the table, instead of once a piece.

        Args:
            hidden: [N, D] piece states.
            left, right: [S] positions of the pieces just outside each span.
            span: [M] the span of each predicted piece.
            offset: [M] its place in the span, from 0.

        Returns:
            [M, D].
        """
        boundaries = boundary_representation(hidden, left, right)  # [S, 2 D]
        num_boundary_features = boundaries.shape[-1]
        weight = self.linear1.weight
        of_span = F.linear(boundaries, weight[:, :num_boundary_features], self.linear1.bias)  # [S, D]
        of_place = F.linear(self.position_embeddings.weight, weight[:, num_boundary_features:])  # [positions, D]
        features: Tensor = self.layer_norm1(F.gelu(of_span.index_select(0, span) + of_place.index_select(0, offset)))
        second: Tensor = self.layer_norm2(F.gelu(self.linear2(features)))
        return second


class PretrainingHeads(nn.Module):
    """The heads under Hugging Face's name `cls`."""

    def __init__(self, config: SpanBertConfig, settings: PretrainingSettings) -> None:
        super().__init__()
        self.predictions = MaskedPieceHead(config)
        self.sbo = SpanBoundaryHead(config, settings.sbo_positions) if settings.sbo_positions else None
        self.seq_relationship = nn.Linear(config.hidden_size, 2) if settings.nsp else None


class SpanBertForPreTraining(SpanBertPreTrainedModel):
    """The encoder with its pre-training heads.

    The folder it saves opens in `transformers` as `AutoModelForMaskedLM` with the same logits. Without next-sentence
    prediction the pooler is saved as it was, untrained or as it came, so that `AutoModel` finds every weight.
    """

    _tied_weights_keys = {  # noqa: RUF012  # the name and form that transformers reads
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__(config)
        settings = PretrainingSettings.of(config)
        self.bert = SpanBertModel(config)
        self.cls = PretrainingHeads(config, settings)
        assert self.bert.pooler is not None  # it was asked for
        self.bert.pooler.requires_grad_(settings.nsp)
        self.post_init()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, (MaskedPieceHead, SpanBoundaryHead)):
            initialization.zeros_(module.bias)

    def get_output_embeddings(self) -> nn.Linear:
        """The output layer whose weight is tied to the piece embeddings."""
        return self.cls.predictions.decoder

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the output layer."""
        assert isinstance(new_embeddings, nn.Linear)
        self.cls.predictions.decoder = new_embeddings
        self.cls.predictions.bias = new_embeddings.bias

    def masked_piece_logits(self, hidden: Tensor, positions: Tensor) -> Tensor:
        """[N, D] states and [M] positions among them -> [M, V] logits of the masked language model."""
        logits: Tensor = self.cls.predictions(hidden.index_select(0, positions))
        return logits

    def span_boundary_logits(self, hidden: Tensor, left: Tensor, right: Tensor, span: Tensor, offset: Tensor) -> Tensor:
        """Logits of span pieces from the span's boundaries; see `SpanBoundaryHead.features`."""
        assert self.cls.sbo is not None, "this model has no span boundary head"
        logits: Tensor = self.cls.sbo(hidden, left, right, span, offset, self.bert.embeddings.word_embeddings.weight)
        return logits

    def forward(self, batch: PretrainingBatch) -> StepOutput:
        """The summed losses of a batch; in evaluation mode also what the metrics are made of.

        Raises:
            InputError: a block is longer than the model's position table.
        """
        hidden = self.bert.encode(batch.pieces, batch.layout, batch.segments)  # [N, D]
        losses: dict[str, Tensor] = {}
        figures: dict[str, Tensor] = {}
        if self.training and hidden.device.type == "cpu":
            losses = self._losses_without_logits(hidden, batch)
        else:
            logits = self.masked_piece_logits(hidden, batch.masked)  # [M, V]
            losses["mlm"] = _summed_loss(logits, batch.labels)
            if not self.training:
                figures = _masked_piece_figures(logits, batch)
            if self.cls.sbo is not None and batch.sbo is not None:
                sbo = batch.sbo
                logits = self.span_boundary_logits(hidden, sbo.left, sbo.right, sbo.span, sbo.offset)
                losses["sbo"] = _summed_loss(logits, sbo.labels)
                if not self.training:
                    figures["sbo_correct"] = (logits.argmax(-1) == sbo.labels).sum()
        if self.cls.seq_relationship is not None and batch.next_sentence is not None and self.bert.pooler is not None:
            pooled = self.bert.pooler(hidden.index_select(0, batch.layout.starts))  # [B, D]
            logits = self.cls.seq_relationship(pooled)  # [B, 2]
            losses["nsp"] = _summed_loss(logits, batch.next_sentence)
            if not self.training:
                figures["nsp_correct"] = (logits.argmax(-1) == batch.next_sentence).sum()
        return StepOutput(losses, figures)

    def _losses_without_logits(self, hidden: Tensor, batch: PretrainingBatch) -> dict[str, Tensor]:
        """The losses over the vocabulary, for training on a CPU (see `vocabulary_loss`)."""
        heads = {"mlm": self.cls.predictions.predicted(hidden.index_select(0, batch.masked), batch.labels)}
        if self.cls.sbo is not None and batch.sbo is not None:
            sbo = batch.sbo
            features = self.cls.sbo.features(hidden, sbo.left, sbo.right, sbo.span, sbo.offset)
            heads["sbo"] = Predicted(features, self.cls.sbo.bias, sbo.labels)
        embeddings = self.bert.embeddings.word_embeddings.weight
        return dict(zip(heads, summed_losses(list(heads.values()), embeddings), strict=True))


def _masked_piece_figures(logits: Tensor, batch: PretrainingBatch) -> dict[str, Tensor]:
    """How many masked pieces, and whole masked spans, the [M, V] logits get right."""
    right = logits.argmax(-1) == batch.labels  # [M]
    num_wrong = torch.zeros(batch.num_spans + 1, dtype=torch.int64, device=right.device)  # [S + 1]
    num_wrong.index_add_(0, batch.span_of_masked, (~right).to(torch.int64))
    return {"mlm_correct": right.sum(), "spans_correct": (num_wrong[: batch.num_spans] == 0).sum()}


def _summed_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Summed cross-entropy of [M, V] logits, in fp32 whatever the precision of the forward pass; -100 has no loss."""
    return F.cross_entropy(logits.float(), labels, reduction="sum", ignore_index=-100)


def initial_config(settings: PretrainingSettings, **bert: Any) -> SpanBertConfig:
    """A configuration for training from scratch; `bert` are Hugging Face's BERT fields."""
    config = SpanBertConfig(spanbert=settings.to_json(), **bert)
    config.architectures = ["BertForMaskedLM"]
    return config
