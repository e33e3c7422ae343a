"""Device, precision, threads, compilation and determinism of a run."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from torch import nn

from spanbert.errors import ConfigurationError, MissingDependencyError
from spanbert.training.config import Device, Precision, TrainingConfig

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST_INT = 2**31 - 1
_MOST_COMPILED_SIZES = 64


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 matrices in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not in older releases of torch
        return any(bool(present) for name, present in capabilities.items() if name.endswith("bf16"))
    return False


def choose_device(device: Device) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` means here.

    Raises:
        ConfigurationError: cuda, and torch sees no GPU; or no device at all.
    """
    if device not in get_args(Device):
        raise ConfigurationError(f"device {device!r} is none of {', '.join(get_args(Device))}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("--device cuda: torch sees no GPU here: use --device cpu")
    return torch.device("cpu" if device == "cpu" or not torch.cuda.is_available() else "cuda")


def resolve_precision(precision: Precision, device: torch.device) -> str:
    """`auto` becomes bf16 where that is fast, else fp32.

    Raises:
        ConfigurationError: bf16 was asked for on a processor that would only emulate it; or no precision at all.
    """
    if precision not in get_args(Precision):
        raise ConfigurationError(f"precision {precision!r} is none of {', '.join(get_args(Precision))}")
    fast = has_fast_bf16(device)
    if precision == "auto":
        return "bf16" if fast else "fp32"
    if precision == "bf16" and not fast:
        raise ConfigurationError(f"--precision bf16: this {device.type} has no bf16 instructions: use fp32 or auto")
    return precision


def set_threads(threads: int | None) -> None:
    """Use this many CPU threads; None leaves torch's choice, which is all cores."""
    if threads is not None:
        torch.set_num_threads(threads)


def keep_freed_memory() -> None:
    """Let the C library keep freed memory instead of handing every large block back to the system.

    A training step on CPU frees and takes the same few hundred megabytes again and again; handed back, each page has to
    be cleared by the kernel at every step, which took a third of the time (docs/performance.md). Only glibc has the
    switch; elsewhere nothing happens.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_INT)
        mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT)


def new_accelerator(device: torch.device, precision: str, **options: Any) -> Accelerator:
    """An engine for a device and a precision ("bf16" or "fp32"), whatever earlier ones in this process were for.

    Accelerate keeps the settings of the first one for the life of the process and refuses others; here each run has its
    own. The processes of a distributed run stay joined.
    """
    if PartialState._shared_state and PartialState().distributed_type == DistributedType.NO:
        AcceleratorState._reset_state(reset_partial_state=True)
    else:
        AcceleratorState._reset_state()
    return Accelerator(cpu=device.type == "cpu", mixed_precision="bf16" if precision == "bf16" else "no", **options)


def make_accelerator(config: TrainingConfig) -> Accelerator:
    """The engine for device, precision and processes; under `accelerate launch` it joins the others.

    Raises:
        ConfigurationError: no GPU where one was asked for; FSDP without a GPU, or with Muon; bf16 without hardware;
            fewer examples a step than processes.
        MissingDependencyError: the tracker is not installed.
    """
    device = choose_device(config.device)
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "").lower() in {"1", "true"}
    if sharded and config.optimizer == "muon":
        raise ConfigurationError("--optimizer muon needs whole matrices, and FSDP cuts them: use adamw, or DDP")
    if sharded and device.type != "cuda":
        raise ConfigurationError(
            "FSDP needs a GPU, and this run has none: launch without --use_fsdp (several processes on CPU use DDP)"
        )
    set_threads(config.threads)
    if device.type == "cpu":
        keep_freed_memory()
    precision = resolve_precision(config.precision, device)
    if config.tracker is not None and importlib.util.find_spec(config.tracker) is None:
        raise MissingDependencyError(config.tracker, config.tracker, f"--tracker {config.tracker}")
    accelerator = new_accelerator(device, precision, log_with=config.tracker, project_dir=str(config.output))
    # Accelerate warns of tied weights at every checkpoint; they are tied again at every start.
    logging.getLogger("accelerate.utils.other").setLevel(logging.ERROR)
    if config.batch_size < accelerator.num_processes:
        raise ConfigurationError(
            f"--batch-size {config.batch_size} is smaller than the number of processes ({accelerator.num_processes})"
        )
    return accelerator


def describe_machine(accelerator: Accelerator) -> dict[str, Any]:
    """What the run record says of where it ran."""
    device = accelerator.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    return {
        "device": device.type,
        "device_name": name,
        "processes": accelerator.num_processes,
        "distributed": accelerator.distributed_type.value
        if accelerator.distributed_type != DistributedType.NO
        else None,
        "precision": "bf16" if accelerator.mixed_precision == "bf16" else "fp32",
        "threads": torch.get_num_threads(),
    }


def processor_name() -> str:
    """The CPU's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """On CPU, use only algorithms whose result does not depend on the order in which threads finish.

    The backward pass of an index with duplicates adds in any order otherwise, and a resumed run would not be
    bit-identical. On a GPU this would forbid fused attention, so it is left as it is there.
    """
    settings: Any = torch.utils.deterministic  # torch gives it no types
    before = torch.are_deterministic_algorithms_enabled(), settings.fill_uninitialized_memory
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        # Filling fresh memory only helps programs that read it before they write; it costs a fifth of a step.
        settings.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        settings.fill_uninitialized_memory = before[1]


def compile_in_place(modules: Sequence[nn.Module], device: torch.device, warn: Callable[[str], None]) -> bool:
    """Compile `modules` with torch.compile, their names and weights unchanged.

    A trial on a trivial function shows whether there is a working compiler; without one the modules stay as they are.

    Returns:
        Whether they were compiled.
    """
    try:
        torch.compile(lambda x: torch.sin(x) + 1)(torch.zeros(8, device=device))
    except Exception as error:  # the compiler may be missing or broken in as many ways as there are machines
        reason = str(error).strip().splitlines()[0]
        warn(f"--compile is ignored: torch.compile does not work here ({reason}); training without it")
        return False
    # Code for any size is ten times as slow on CPU as none at all (docs/performance.md); batches come in few sizes, and
    # each gets code of its own, up to this many, after which the rest runs uncompiled.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _MOST_COMPILED_SIZES)
    for module in modules:
        module.compile(dynamic=False)
    return True
