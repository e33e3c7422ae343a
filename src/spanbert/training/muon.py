"""Muon for the matrices of an encoder's layers, AdamW for all other parameters."""

from __future__ import annotations

from typing import Any

import torch


class MuonWithAdamW(torch.optim.Optimizer):
    """Two optimisers of torch that look like one.

    Muon (Jordan et al. 2024) takes the momentum of a matrix to the nearest orthogonal one, so that all directions learn
    alike; it is for matrices between hidden states. Its update is scaled to the size of AdamW's (Liu et al. 2025,
    arXiv 2502.16982, section 2.2), so one learning rate serves both. It needs whole matrices: it cannot work on FSDP's
    shards.

    Args:
        groups: parameter groups with `lr` and `weight_decay`; those for Muon hold nothing but matrices and say
            `of_layers: True`.
        betas: of AdamW.
        eps: of AdamW.
    """

    def __init__(self, groups: list[dict[str, Any]], *, betas: tuple[float, float], eps: float) -> None:
        super().__init__(groups, {})
        matrices = [dict(group) for group in groups if group["of_layers"]]
        others = [dict(group) for group in groups if not group["of_layers"]]
        self._parts: dict[str, torch.optim.Optimizer] = {}
        if matrices:  # none when all layers are frozen
            self._parts["muon"] = torch.optim.Muon(matrices, adjust_lr_fn="match_rms_adamw")
        if others:
            self._parts["adamw"] = torch.optim.AdamW(others, betas=betas, eps=eps, fused=True)
        self._share_groups()

    def _share_groups(self) -> None:
        # The same dictionaries as the parts': a schedule that changes a rate here changes it there.
        self.param_groups = [group for part in self._parts.values() for group in part.param_groups]

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step of both; there is no closure."""
        assert closure is None
        for part in self._parts.values():
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of both, by name."""
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What `state_dict` gave."""
        for name, part in self._parts.items():
            part.load_state_dict(state_dict[name])
        self._share_groups()
