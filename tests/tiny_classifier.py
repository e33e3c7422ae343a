"""A tiny classifier with random weights, saved with golden answers."""

from __future__ import annotations

from pathlib import Path

from tiny_models import randomise, save_bert, tiny_bert

from spanbert.golden import GOLDEN_FILE, make_golden
from spanbert.predicting import Predictor
from spanbert.task_checkpoints import new_task_model, save_task_model
from spanbert.tasks.classification.config import Settings
from spanbert.tasks.classification.examples import ClassificationExample
from spanbert.tasks.classification.task import Classification

TEXTS = ("the capital of France is Paris .", "a patient with stenosis needs stents", "Paris")
LABELS = ("place", "medicine", "地名")


def tiny_classifier(folder: Path) -> Path:
    """Save one in `folder`; windows of 16 pieces."""
    examples = [
        ClassificationExample(id=str(number), text=text, label=label)
        for number, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True))
    ]
    task = Classification(Settings(kind="single-label", max_length=16, stride=4)).learn(examples)
    encoder = save_bert(tiny_bert(), folder.with_name("encoder"))
    model, tokenizer, _ = new_task_model(task, encoder)
    randomise(model)
    predictor = Predictor(model, task, tokenizer, device="cpu", precision="fp32")
    save_task_model(model, task, tokenizer, folder, extra_files={GOLDEN_FILE: make_golden(predictor, examples)})
    return folder
