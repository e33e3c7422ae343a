"""A prediction as people look at it: numbered chains with names, and what is mentioned only once."""

from __future__ import annotations

from dataclasses import dataclass

from spanbert.read_summary import counted
from spanbert.tasks.coreference.examples import CoreferencePrediction, PredictedMention
from spanbert.tasks.coreference.pronouns import name_span
from spanbert.text_answers import shortened


@dataclass(frozen=True, slots=True)
class Chain:
    """A cluster of two mentions or more.

    Attributes:
        number: from 1, in order of the first mentions.
        name: its longest mention that is no pronoun (or the first of all), on one line, not long.
        mentions: in order of the text.
    """

    number: int
    name: str
    mentions: tuple[PredictedMention, ...]


@dataclass(frozen=True, slots=True)
class Chains:
    """All clusters of a document."""

    chains: tuple[Chain, ...]
    alone: tuple[PredictedMention, ...]
    """What is mentioned once, in order of the text."""

    @classmethod
    def of(cls, text: str, prediction: CoreferencePrediction) -> Chains:
        """The clusters of a prediction about a text."""
        long = [cluster for cluster in prediction.clusters if len(cluster) > 1]
        chains = []
        for number, cluster in enumerate(long, 1):
            start, end = name_span(text, [mention.span for mention in cluster]) or cluster[0].span
            chains.append(Chain(number, shortened(text[start:end]), cluster))
        return cls(tuple(chains), tuple(cluster[0] for cluster in prediction.clusters if len(cluster) == 1))

    def summary(self) -> str:
        """How many there are."""
        num_mentions = sum(len(chain.mentions) for chain in self.chains)
        chains = f"{counted(len(self.chains), 'chain')} with {counted(num_mentions, 'mention')}"
        alone = f"; {counted(len(self.alone), 'thing')} mentioned once" if self.alone else ""
        return (chains if self.chains else "no chains") + alone
