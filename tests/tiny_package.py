"""A distribution as pip installs it, with a tiny base and a tiny fine-tuned sibling, named as the real ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from tiny_classifier import LABELS, TEXTS
from tiny_models import randomise, tiny_model, tiny_tokenizer

from spanbert.checkpoint_saving import save_pretraining_model
from spanbert.golden import GOLDEN_FILE, make_golden
from spanbert.predicting import Predictor
from spanbert.task_checkpoints import new_task_model, save_task_model
from spanbert.tasks.classification.config import Settings
from spanbert.tasks.classification.examples import ClassificationExample
from spanbert.tasks.classification.task import Classification

BASE, SIBLING = "spanbert-mini-en", "spanbert-mini-en-ner"
_PACKAGE = "tiny_weights"


def pack_script() -> ModuleType:
    """models/pack.py as a module."""
    path = Path(__file__).parents[1] / "models" / "pack.py"
    spec = importlib.util.spec_from_file_location("pack", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def save_base(folder: Path) -> Path:
    """A pre-trained model with random weights."""
    save_pretraining_model(tiny_model(), tiny_tokenizer(folder.with_name("vocabulary")), folder)
    return folder


def save_tuned(folder: Path, base: Path) -> Path:
    """A classifier as fine-tuning with --freeze-embeddings leaves it, its other weights new, with golden answers."""
    examples = [
        ClassificationExample(id=str(number), text=text, label=label)
        for number, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True))
    ]
    task = Classification(Settings(kind="single-label", max_length=16, stride=4)).learn(examples)
    model, tokenizer, _ = new_task_model(task, base)
    randomise(model.bert.encoder, seed=1)
    randomise(model.classifier, seed=2)  # type: ignore[arg-type]  # a layer of this task's model
    predictor = Predictor(model, task, tokenizer, device="cpu", precision="fp32")
    files = {GOLDEN_FILE: make_golden(predictor, examples), "README.md": "# A classifier\n"}
    save_task_model(model, task, tokenizer, folder, extra_files=files)
    return folder


def install(site: Path, base: Path, tuned: Path) -> Path:
    """Put the distribution into a folder for `sys.path`; returns the package with the models."""
    package = site / _PACKAGE
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('it is not imported')\n", encoding="utf-8")
    pack_script().pack(base, {"ner": tuned}, package)
    info = site / "spanbert_mini_en-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: spanbert-mini-en\nVersion: 0.1.0\n", encoding="utf-8")
    entries = "".join(f"{name} = {_PACKAGE}\n" for name in (BASE, SIBLING, f"{BASE}-qa"))
    (info / "entry_points.txt").write_text(f"[spanbert.models]\n{entries}", encoding="utf-8")
    return package
