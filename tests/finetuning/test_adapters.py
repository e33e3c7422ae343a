"""Adapters: they train, resume, merge without a trace, and open in PEFT."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from tiny_models import IDS, SIZES, randomise
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

from spanbert.batching import TaskBatch, collate
from spanbert.encoder import SpanBertConfig
from spanbert.errors import ConfigurationError, MissingDependencyError
from spanbert.finetuning.adapters import add_lora, merge_lora, save_adapter
from spanbert.task import Window
from spanbert.task_model import TaskModel
from spanbert.training.config import TrainingConfig
from spanbert.training.contract import Selection, StepOutput, TrainingPlan
from spanbert.training.devices import make_accelerator
from spanbert.training.loop import Trainer
from spanbert.training.progress import Reporter

pytestmark = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="needs peft")


class Classifier(TaskModel):
    """transformers' BertForSequenceClassification."""

    uses_pooler = True

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__(config)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(config.hidden_size, 2)
        self.post_init()  # type: ignore[no-untyped-call]

    def score(self, states: Tensor, batch: TaskBatch) -> dict[str, Tensor]:
        assert self.bert.pooler is not None
        return {"label": self.classifier(self.dropout(self.bert.pooler(states[batch.layout.starts])))}

    def loss(self, scores: dict[str, Tensor], batch: TaskBatch) -> StepOutput:
        loss = nn.functional.cross_entropy(scores["label"], batch.values["label"], reduction="sum")
        return StepOutput({"label": loss}, {})


def batch(ids: Tensor = IDS) -> TaskBatch:
    rows = [row.numpy() for row in ids]
    return collate(
        [[Window(pieces=row, values={"label": np.array([n % 2])}, counts={"label": 1})] for n, row in enumerate(rows)]
    )


class Same:
    """The same batch at every step."""

    num_examples = 2

    def micro_batches(self, step: int, rank: int, num_ranks: int) -> list[TaskBatch]:
        return [batch()]


def adapted(**options: object) -> Classifier:
    torch.manual_seed(0)
    model = Classifier(SpanBertConfig(**SIZES))
    randomise(model)
    add_lora(model, **{"rank": 2, **options})  # type: ignore[arg-type]
    return model


def logits(model: Classifier) -> Tensor:
    model.eval()
    with torch.inference_mode():
        return model.score(model.encode(batch()), batch())["label"]


def negative_loss(model: nn.Module, accelerator: Accelerator) -> dict[str, float]:
    model.eval()
    with torch.inference_mode():
        return {"quality": -float(model(batch()).losses["label"])}


def make_trainer(model: TaskModel, output: Path, *, resume: bool = False) -> Trainer:
    output.mkdir(parents=True, exist_ok=True)
    config = TrainingConfig(
        output=output, steps=8, batch_size=2, learning_rate=1e-2, save_every=4, validate_every=2, precision="fp32",
        device="cpu", quiet=True, resume=resume, warmup=0.0,
    )  # fmt: skip
    plan = TrainingPlan(
        data=Same(), validation={"dev": negative_loss}, selection=Selection(validation="dev", metric="quality")
    )
    return Trainer(model, plan, config, make_accelerator(config), Reporter())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    trainer = make_trainer(adapted(), tmp_path_factory.mktemp("run"))
    trainer.run()
    return trainer


def test_only_adapters_pooler_and_head_are_trained() -> None:
    model = adapted(targets=("query", "dense"))
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    adapters = {name for name in trained if "lora_" in name}
    assert {name.split(".lora_")[0].split(".", 4)[4] for name in adapters} == {
        "attention.self.query", "attention.output.dense", "intermediate.dense", "output.dense",
    }  # fmt: skip
    assert trained - adapters == {
        "classifier.weight", "classifier.bias", "bert.pooler.dense.weight", "bert.pooler.dense.bias",
    }  # fmt: skip


def test_fresh_adapters_change_nothing() -> None:
    plain = Classifier(SpanBertConfig(**SIZES))
    randomise(plain)
    torch.testing.assert_close(logits(adapted()), logits(plain), rtol=0, atol=0)


def test_training_leaves_the_encoder_as_it_was(trained: Trainer) -> None:
    before, after = adapted().state_dict(), trained.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name, parameter in trained.model.named_parameters() if parameter.requires_grad}
    assert trained.best is not None
    assert trained.best.value > negative_loss(adapted(), trained.accelerator)["quality"]


def test_a_resumed_run_is_the_same_and_finds_its_best(trained: Trainer, tmp_path: Path) -> None:
    first = make_trainer(adapted(), tmp_path)
    first.config = replace(first.config, save_every=3)
    first._stop.signal = 15
    first.run()
    assert first.step == 1
    second = make_trainer(adapted(), tmp_path, resume=True)
    second.restore()
    second.run()
    for name, value in trained.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    assert trained.best is not None
    assert second.best is not None
    assert (second.best.step, second.best.value) == (trained.best.step, trained.best.value)
    second.load_best()


def test_merged_it_is_a_plain_model_with_the_same_scores(trained: Trainer, tmp_path: Path) -> None:
    model = adapted()
    model.load_state_dict(trained.model.state_dict())
    before = logits(model)
    fresh = Classifier(SpanBertConfig(**SIZES))
    assert merge_lora(model) is model
    assert model.state_dict().keys() == fresh.state_dict().keys()
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not hasattr(model, "peft_config")
    torch.testing.assert_close(logits(model), before, rtol=0, atol=1e-5)
    fresh.load_state_dict(model.state_dict())
    torch.testing.assert_close(logits(fresh), before, rtol=0, atol=1e-5)
    randomise(fresh)
    assert not torch.allclose(logits(fresh), before, atol=1e-2)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT's own
def test_peft_opens_the_adapter_on_the_model_it_was_trained_from(trained: Trainer, tmp_path: Path) -> None:
    from peft import PeftModel

    model = adapted()
    base = BertForSequenceClassification(BertConfig(**SIZES, num_labels=2))
    plain = Classifier(SpanBertConfig(**SIZES))
    randomise(plain)
    base.load_state_dict(plain.state_dict(), strict=False)
    model.load_state_dict(trained.model.state_dict())
    save_adapter(model, tmp_path / "adapter", base="some/base")
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert {name.split(".")[2] for name in saved if "lora_" not in name and "pooler" not in name} == {"classifier"}
    theirs = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    assert theirs.peft_config["default"].base_model_name_or_path == "some/base"
    with torch.inference_mode():
        torch.testing.assert_close(theirs(input_ids=IDS).logits, logits(model), rtol=0, atol=1e-5)
    assert {name for name, parameter in model.named_parameters() if parameter.requires_grad} == {
        name for name, parameter in adapted().named_parameters() if parameter.requires_grad
    }  # saving is looking


def test_layers_that_are_not_there_are_named() -> None:
    with pytest.raises(ConfigurationError, match="no linear layers named 'q_proj', only: dense, key, query, value"):
        adapted(targets=("query", "q_proj"))


def test_without_peft_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingDependencyError, match=r"LoRA needs the package 'peft': pip install 'spanbert\[lora\]'"):
        adapted()
