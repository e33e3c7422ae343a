"""The encoder: BERT (Devlin et al. 2019), with Hugging Face's parameter names, computed without padding.

Inside the encoder a batch of B windows is one sequence of N pieces, so that embeddings, projections and feed-forward
layers never touch a padded position. Only attention has to see windows, which `UnpaddedLayout` describes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling

from spanbert.attention import WindowAttention
from spanbert.dropout import Dropout
from spanbert.errors import ConfigurationError, InputError
from spanbert.unpadded import UnpaddedLayout, pad_pieces


class SpanBertConfig(BertConfig):
    """BERT's configuration; everything of ours stands under the one key `spanbert`.

    The folder says `model_type: "bert"`, so plain `transformers` opens it.
    """

    spanbert: dict[str, Any] | None = None


class Embeddings(nn.Module):
    """Piece + position + segment embeddings, normalised (Devlin et al. 2019, section 3)."""

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, pieces: Tensor, positions: Tensor, segments: Tensor | None) -> Tensor:
        """[R] piece ids, [R] positions, [R] segment ids (None: all 0) -> [R, D]."""
        hidden = self.word_embeddings(pieces) + self.position_embeddings(positions)
        if segments is None:
            hidden = hidden + self.token_type_embeddings.weight[0]
        else:
            hidden = hidden + self.token_type_embeddings(segments)
        embedded: Tensor = self.dropout(self.LayerNorm(hidden))
        return embedded


class SelfAttention(nn.Module):
    """Multi-head self-attention within each window."""

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.dropout_prob = float(config.attention_probs_dropout_prob)
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor, attend: WindowAttention) -> Tensor:
        """[R, D] -> [R, D]."""
        return attend(self._projected(hidden), self.dropout_prob if self.training else 0.0)

    def _projected(self, hidden: Tensor) -> Tensor:
        """[R, D] -> [R, 3 D] queries, keys and values, by one product where nothing has replaced the three layers."""
        layers = (self.query, self.key, self.value)
        if any(type(layer) is not nn.Linear for layer in layers):  # adapters have
            return torch.cat([layer(hidden) for layer in layers], dim=1)
        weight = torch.cat([layer.weight for layer in layers])
        return F.linear(hidden, weight, torch.cat([layer.bias for layer in layers]))


class ResidualOutput(nn.Module):
    """A projection, dropout, the residual connection and layer normalisation, in that order."""

    def __init__(self, in_features: int, config: SpanBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(in_features, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, hidden: Tensor, residual: Tensor) -> Tensor:
        """[R, in_features] and [R, D] -> [R, D]."""
        normalised: Tensor = self.LayerNorm(self.dropout(self.dense(hidden)) + residual)
        return normalised


class Attention(nn.Module):
    """Self-attention with its residual output."""

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = ResidualOutput(config.hidden_size, config)

    def forward(self, hidden: Tensor, attend: WindowAttention) -> Tensor:
        """[R, D] -> [R, D]."""
        attended: Tensor = self.output(self.self(hidden, attend), hidden)
        return attended


class Intermediate(nn.Module):
    """The first half of the feed-forward layer."""

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, hidden: Tensor) -> Tensor:
        """[R, D] -> [R, intermediate size]."""
        activated: Tensor = self.activation(self.dense(hidden))
        return activated


class Layer(GradientCheckpointingLayer):
    """One Transformer layer: attention, then feed-forward, each with its residual."""

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = ResidualOutput(config.intermediate_size, config)

    def forward(self, hidden: Tensor, attend: WindowAttention) -> Tensor:
        """[R, D] -> [R, D]."""
        hidden = self.attention(hidden, attend)
        out: Tensor = self.output(self.intermediate(hidden), hidden)
        return out


class LayerStack(nn.Module):
    """The Transformer layers, in order."""

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.layer = nn.ModuleList([Layer(config) for _ in range(config.num_hidden_layers)])

    def forward(self, hidden: Tensor, layout: UnpaddedLayout, *, keep_all: bool = False) -> list[Tensor]:
        """[R, D] -> the [R, D] states after the last layer; or, to `keep_all`, before the first and after each."""
        attend = WindowAttention(layout, self.num_heads)
        states = [hidden]
        for layer in self.layer:
            states = [*(states if keep_all else []), layer(states[-1], attend)]
        return states


class Pooler(nn.Module):
    """BERT's projection of the [CLS] state; only next-sentence prediction trains it."""

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, first_states: Tensor) -> Tensor:
        """[B, D] states of the windows' first pieces -> [B, D]."""
        return torch.tanh(self.dense(first_states))


class SpanBertPreTrainedModel(PreTrainedModel):
    """What all our models share with `transformers`: configuration, initialisation, loading and saving."""

    config: SpanBertConfig
    config_class = SpanBertConfig
    base_model_prefix = "bert"
    supports_gradient_checkpointing = True
    # Not the embeddings: their weight is also the output layer's, and both have to be in one FSDP unit.
    _no_split_modules = ["Layer"]  # noqa: RUF012  # the name and form that transformers reads

    def __init__(self, config: SpanBertConfig, *args: Any, **kwargs: Any) -> None:
        if config.is_decoder or config.add_cross_attention:
            raise ConfigurationError("this is an encoder: is_decoder and add_cross_attention must be false")
        if getattr(config, "position_embedding_type", "absolute") != "absolute":
            raise ConfigurationError(
                f"position_embedding_type={config.position_embedding_type!r} is not supported, only 'absolute'"
            )
        if config.num_attention_heads < 1 or config.hidden_size % config.num_attention_heads:
            raise ConfigurationError(
                f"{config.num_attention_heads} attention heads do not divide the hidden width {config.hidden_size}"
            )
        super().__init__(config, *args, **kwargs)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str] | None, *model_args: Any, **kwargs: Any
    ) -> Self:
        """As in `transformers`, for more: the names of shipped models, our short names of models on the hub, and
        folders that hold the difference from a base.

        Raises:
            CheckpointError: a shipped model is not installed or damaged, or a base is not there; a shipped model is
                probably meant by a name that nothing has.
            OSError: there is no such model otherwise, as in `transformers`.
        """
        from spanbert.checkpoint_sources import open_source, resolve_name
        from spanbert.model_differences import DIFFERENCE_FILE
        from spanbert.shipped_models import misspelt

        if pretrained_model_name_or_path is None:
            return super().from_pretrained(None, *model_args, **kwargs)
        name = resolve_name(os.fspath(pretrained_model_name_or_path))
        if not (Path(name) / DIFFERENCE_FILE).is_file():
            try:
                return super().from_pretrained(name, *model_args, **kwargs)
            except OSError as error:
                if Path(name).exists() or (explained := misspelt(name)) is None:
                    raise
                raise explained from error
        with open_source(name) as source:
            state = {source.key_map.to_ours(key): entry.read().float() for key, entry in source.tensors.items()}
            kwargs.setdefault("config", cls.config_class.from_pretrained(name, spanbert=source.config["spanbert"]))
        return super().from_pretrained(None, *model_args, state_dict=state, **kwargs)


class SpanBertModel(SpanBertPreTrainedModel):
    """The bare encoder.

    `encode` is the path of everything inside this package: unpadded pieces in, unpadded states out. Calling the model
    takes padded batches as `transformers`' `BertModel` does, and gives the same numbers.

    Example:
        >>> model = SpanBertModel.from_pretrained("my-model")
        >>> model(input_ids=ids, attention_mask=mask).last_hidden_state  # [B, T, D]
    """

    # The heads of a saved model are not the encoder's; what is missing is still reported.
    _keys_to_ignore_on_load_unexpected = [r"^cls\."]  # noqa: RUF012  # the form that transformers reads

    def __init__(self, config: SpanBertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.encoder = LayerStack(config)
        self.pooler = Pooler(config) if add_pooling_layer else None
        self.post_init()  # type: ignore[no-untyped-call]

    def get_input_embeddings(self) -> nn.Embedding:
        """The piece embeddings [V, D]."""
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the piece embeddings."""
        assert isinstance(value, nn.Embedding)
        self.embeddings.word_embeddings = value

    def encode(self, pieces: Tensor, layout: UnpaddedLayout, segments: Tensor | None = None) -> Tensor:
        """States of an unpadded batch.

        Args:
            pieces: [N] piece ids of B windows, one after the other, special pieces included.
            layout: where the windows stand in it.
            segments: [N] segment ids; None means segment 0 throughout.

        Returns:
            [N, D] states after the last layer.

        Raises:
            InputError: a window is longer than the position table.
        """
        return self._states(pieces, layout, layout.positions, segments)[-1]

    def _states(
        self,
        pieces: Tensor,
        layout: UnpaddedLayout,
        positions: Tensor,
        segments: Tensor | None,
        *,
        keep_all: bool = False,
    ) -> list[Tensor]:
        if layout.max_length > self.config.max_position_embeddings:
            raise InputError(
                f"a window of {layout.max_length} pieces is longer than the model's position table "
                f"({self.config.max_position_embeddings}): cut the text into shorter windows"
            )
        rows = [None if values is None else layout.to_rows(values) for values in (pieces, positions, segments)]
        hidden: Tensor = self.embeddings(*rows)
        if hidden.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # Else the sums of the residuals would be fp32, and so all that layer normalisation reads and writes.
            hidden = hidden.to(torch.get_autocast_dtype("cpu"))
        states: list[Tensor] = self.encoder(hidden, layout, keep_all=keep_all)
        return [state[: layout.num_pieces] for state in states]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> BaseModelOutputWithPooling:
        """Encode a padded batch, as `transformers`' `BertModel` does.

        Args:
            input_ids: [B, T] piece ids.
            attention_mask: [B, T], 1 for pieces and 0 for padding; None means no padding. Padding may stand anywhere.
            token_type_ids: [B, T] segment ids; None means 0.
            position_ids: [B, T] or [1, T]; None counts 0..T-1 along the row, padding included.
            output_hidden_states: also give the states before the first and after every layer.

        Returns:
            `last_hidden_state` [B, T, D], `pooler_output` [B, D] (None without a pooler), and `hidden_states` when
            asked for. States of padded positions are zero.
        """
        num_windows, max_length = input_ids.shape
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        keep = attention_mask.to(torch.bool)
        lengths = keep.sum(1).cpu()
        if bool((lengths == 0).any()):
            raise InputError(f"row {int((lengths == 0).nonzero()[0])} of attention_mask has no piece at all")
        layout = UnpaddedLayout.from_lengths(lengths).to(input_ids.device)
        if position_ids is None:
            position_ids = torch.arange(max_length, device=input_ids.device)[None]
        index = keep.flatten().nonzero().squeeze(1)  # [N] position in the caller's padded batch
        positions = position_ids.expand(num_windows, -1).flatten()[index]
        segments = None if token_type_ids is None else token_type_ids.flatten()[index]
        pieces = input_ids.flatten()[index]
        states = self._states(pieces, layout, positions, segments, keep_all=output_hidden_states)

        def pad(flat: Tensor) -> Tensor:
            return pad_pieces(flat, index, num_windows * max_length).view(num_windows, max_length, -1)

        return BaseModelOutputWithPooling(
            last_hidden_state=pad(states[-1]),
            pooler_output=None if self.pooler is None else self.pooler(states[-1][layout.starts]),
            hidden_states=tuple(pad(state) for state in states) if output_hidden_states else None,
        )


def count_parameters(parameters: Iterable[nn.Parameter]) -> int:
    """The number of scalars in `parameters`."""
    return sum(parameter.numel() for parameter in parameters)
