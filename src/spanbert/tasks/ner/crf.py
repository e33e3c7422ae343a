"""A linear-chain conditional random field (Lafferty et al. 2001): its table of transitions and its loss.

What is decoded and how probable it is, is computed without torch in `chain.py`, from the scores of this model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SCALE = 20.0
"""What the parameters are multiplied by. The optimiser moves each by about the learning rate a step; at the rates that
suit the encoder, transitions that began at 0 would still be near 0 at the end."""
FORBIDDEN = -10_000.0
"""Score of what cannot be; finite, so that a sum over nothing else is still a number."""


class LinearChainCrf(nn.Module):
    """Transitions between L tags in the order O, B-1, I-1, B-2, I-2, ...

    I- comes only after B- or I- of its own label: other transitions are forbidden and are not learned.
    """

    def __init__(self, num_tags: int) -> None:
        super().__init__()
        self.num_tags = num_tags
        self.transitions = nn.Parameter(torch.zeros(num_tags, num_tags))
        self.start = nn.Parameter(torch.zeros(num_tags))
        self.end = nn.Parameter(torch.zeros(num_tags))

    def table(self) -> Tensor:
        """[L + 2, L]: row i, the scores of tag i being followed by each tag; then those of being first, of being
        last."""
        tags = torch.arange(self.num_tags, device=self.start.device)
        is_inside = (tags > 0) & (tags % 2 == 0)
        # The tag after which I- may come, besides itself, is the one before it in the order.
        follows = (tags[:, None] == tags) | (tags[:, None] == tags - 1)  # [L, L]
        allowed = torch.cat((follows | ~is_inside, ~is_inside[None], torch.ones_like(is_inside)[None]))
        table = _SCALE * torch.cat((self.transitions, self.start[None], self.end[None]))
        return table.masked_fill(~allowed, FORBIDDEN)

    def loss(self, emissions: Tensor, targets: Tensor, lengths: Tensor, edges: Tensor) -> Tensor:
        """Summed negative log-likelihood of B chains.

        Args:
            emissions: [n, L] fp32 scores of the words of all chains, one after the other.
            targets: [n] their right tags.
            lengths: [B] int64 on the CPU, words of each chain, may be 0.
            edges: [B, 2] bool, whether the chain begins, and ends, where its text does; otherwise any tag may be there.
        """
        table = self.table()
        keep = lengths > 0
        lengths, edges = lengths[keep], edges[keep.to(edges.device)]
        if not len(lengths):
            return emissions.sum() + 0 * table.sum()
        padded = nn.utils.rnn.pad_sequence(emissions.split(lengths.tolist()), batch_first=True)  # [B, n, L]
        normaliser = _log_sum(padded, lengths.to(emissions.device), table, edges)
        return normaliser.sum() - _score(emissions, targets, lengths, table, edges)


def _log_sum(padded: Tensor, lengths: Tensor, table: Tensor, edges: Tensor) -> Tensor:
    """[B] log of the summed exponential scores of all ways to tag each chain (the forward algorithm)."""
    transitions, start, end = table[:-2], table[-2], table[-1]
    forward = padded[:, 0] + start * edges[:, :1]  # [B, L]
    for place in range(1, padded.shape[1]):
        following = torch.logsumexp(forward[:, :, None] + transitions, dim=1) + padded[:, place]
        forward = torch.where((place < lengths)[:, None], following, forward)
    return torch.logsumexp(forward + end * edges[:, 1:], dim=1)


def _score(emissions: Tensor, targets: Tensor, lengths: Tensor, table: Tensor, edges: Tensor) -> Tensor:
    """The summed score of the right tags of all chains."""
    ends = lengths.cumsum(0)
    is_first = torch.zeros(len(targets), dtype=torch.bool)
    is_first[ends - lengths] = True
    inside = (~is_first).nonzero().squeeze(1).to(targets.device)
    firsts, lasts = (ends - lengths).to(targets.device), (ends - 1).to(targets.device)
    return (
        emissions.gather(1, targets[:, None]).sum()
        + table[targets[inside - 1], targets[inside]].sum()
        + (table[-2][targets[firsts]] * edges[:, 0]).sum()
        + (table[-1][targets[lasts]] * edges[:, 1]).sum()
    )
