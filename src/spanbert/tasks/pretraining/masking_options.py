"""The options of masking that several verbs share."""

from __future__ import annotations

from dataclasses import dataclass

from spanbert.tasks.pretraining.masking import MaskingConfig, Preset, Scheme


@dataclass(frozen=True, kw_only=True)
class MaskingOptions:
    """What is masked, and how: the flags that become a `MaskingConfig`."""

    scheme: Scheme = "spans"
    """What is masked: spans of words, single whole words, single pieces, or annotated entities or noun phrases."""

    preset: Preset = "paper"
    """Masking (and, in training, the loss) as the paper describes it, or as the released model was trained."""

    budget: float = 0.15
    """Share of the pieces to mask: at most (paper), or exactly (as-released)."""

    span_p: float = 0.2
    """Parameter of the geometric distribution of span lengths in words."""

    max_span_words: int = 10
    """Longest span in words."""

    @property
    def masking(self) -> MaskingConfig:
        """The masking scheme; raises ConfigurationError where its values make no sense."""
        return MaskingConfig(
            scheme=self.scheme,
            preset=self.preset,
            budget=self.budget,
            p=self.span_p,
            max_span_words=self.max_span_words,
        )
