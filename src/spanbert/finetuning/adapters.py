"""Low-rank adapters (LoRA, Hu et al. 2022) through PEFT: trained instead of the encoder, then merged into it.

PEFT puts its layers inside the model, which stays the `TaskModel` it was: the training loop, its checkpoints,
validation and prediction need to know nothing of them.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any, TypeVar

from safetensors.torch import save_file
from torch import nn

from spanbert.errors import ConfigurationError, MissingDependencyError
from spanbert.task_model import TaskModel

TaskModelT = TypeVar("TaskModelT", bound=TaskModel)

_ADAPTER = "default"
_LAYERS = re.compile(r"bert\.(embeddings|encoder)\.")


def add_lora(
    model: TaskModel,
    *,
    rank: int,
    alpha: float = 16.0,
    dropout: float = 0.0,
    targets: Sequence[str] = ("query", "value"),
) -> None:
    """Put adapters beside matrices of the encoder, in place; the encoder's own parameters are trained no longer.

    A pooler and the head are trained as a whole. Call it before `Trainer`; torch's global generator draws the initial
    values, which change no output.

    Args:
        model: a task's model.
        rank: of the adapters.
        alpha: an adapter's output is multiplied by `alpha / rank`.
        dropout: of an adapter's input.
        targets: last parts of the names of the linear layers, as PEFT's `target_modules`: "query", "key", "value",
            "dense" (the attention's output and the feed-forward layers).

    Raises:
        MissingDependencyError: PEFT is not installed.
        ConfigurationError: the encoder has no linear layer of such a name.
    """
    if importlib.util.find_spec("peft") is None:
        raise MissingDependencyError("peft", "lora", "LoRA")
    from peft import LoraConfig, inject_adapter_in_model

    layers = [name for name, module in model.bert.encoder.named_modules() if isinstance(module, nn.Linear)]
    for target in targets:
        if not any(name.endswith(f".{target}") for name in layers):
            known = sorted({name.rpartition(".")[2] for name in layers})
            raise ConfigurationError(f"the encoder has no linear layers named {target!r}, only: {', '.join(known)}")
    chosen = "|".join(re.escape(target) for target in targets)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # it is only divided
        lora_dropout=dropout,
        target_modules=rf"(.*\.)?bert\.encoder\.layer\.\d+\.(.*\.)?({chosen})",
        modules_to_save=[],
        inference_mode=False,
    )
    inject_adapter_in_model(config, model, adapter_name=_ADAPTER)
    for name, parameter in model.named_parameters():
        if not _LAYERS.match(name):
            parameter.requires_grad_(True)


def merge_lora(model: TaskModelT) -> TaskModelT:
    """Add the adapters to the matrices they stand beside and take them out, in place: the plain model again.

    Its outputs stay the same but for rounding; all its parameters can be trained.

    Returns:
        The same model.
    """
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge(safe_merge=True)
            model.set_submodule(name, module.get_base_layer())
    del model.peft_config
    return model.requires_grad_(True)


def save_adapter(model: TaskModel, folder: str | Path, *, base: str | None = None) -> None:
    """Write the adapters, the pooler and the head in PEFT's own format; call it before `merge_lora`.

    Where transformers has the task's class, `PeftModel.from_pretrained(BertFor...from_pretrained(base), folder)` opens
    it.

    Args:
        model: with adapters from `add_lora`.
        folder: for adapter_config.json and adapter_model.safetensors.
        base: the model that was fine-tuned, as a folder or hub name, for adapter_config.json.

    Raises:
        OSError: the disk is full or failing.
    """
    from peft import get_peft_model_state_dict

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = get_peft_model_state_dict(model, adapter_name=_ADAPTER, save_embedding_layers=False)
    weights |= {name: value for name, value in model.state_dict().items() if not _LAYERS.match(name)}
    tensors = {f"base_model.model.{name}": value.detach().cpu().contiguous() for name, value in weights.items()}
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    trained = [name for name, module in model.named_children() if name != "bert" and _has_weights(module)]
    if model.bert.pooler is not None:
        trained.append("pooler")
    config: Any = copy(model.peft_config[_ADAPTER])
    config.base_model_name_or_path = base
    config.modules_to_save = trained
    config.inference_mode = True  # as PEFT stores it
    config.save_pretrained(str(folder))


def _has_weights(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None
