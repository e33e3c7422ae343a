"""`spanbert info`: models, corpora and runs described without loading them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_models import save_bert, save_original, tiny_bert, tiny_model, tiny_tokenizer
from transformers import BertForQuestionAnswering

from spanbert.checkpoints import save_pretraining_model
from spanbert.durable_files import lock_file
from spanbert.encoder import count_parameters
from spanbert.errors import CheckpointError, CorpusError, InputError
from spanbert.info import InfoConfig, describe, run
from spanbert.task_checkpoints import new_task_model, save_task_model
from spanbert.tasks import find_task
from spanbert.tasks.pretraining.prepare import PrepareConfig, prepare
from spanbert.training.record import History, write_json


def shown(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert run(InfoConfig(path=str(path))) == 0
    printed = capsys.readouterr()
    assert not printed.err
    return printed.out


def as_json(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(InfoConfig(path=str(path), json=True)) == 0
    described = json.loads(capsys.readouterr().out)
    assert described == describe(path)
    return dict(described)


def test_a_model_of_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, tokenizer = tiny_model(nsp=True), tiny_tokenizer(tmp_path / "vocabulary")
    save_pretraining_model(model, tokenizer, tmp_path / "m", half_precision="fp16")
    described = as_json(tmp_path / "m", capsys)
    assert described["kind"] == "model"
    assert described["num_parameters"] == count_parameters(model.parameters())
    assert sum(described["parameters_by_part"].values()) == described["num_parameters"]
    assert described["parameters_by_part"]["pooler"] == count_parameters(model.bert.pooler.parameters())
    assert described["heads"] == ["masked pieces", "span boundaries", "next sentence"]
    assert described["sbo_positions"] == 7
    assert described["stored_as"] == ["float16"]
    assert described["pooler"] == "present"
    assert described["tokenizer"] == {"vocab_size": 28, "cased": True, "fingerprint": tokenizer.fingerprint}
    text = shown(tmp_path / "m", capsys)
    assert "hidden layers" in text
    assert tokenizer.fingerprint in text
    assert f"{described['num_parameters']:,}" in text


def test_an_untrained_pooler_is_told_from_one_that_came_with_the_model(tmp_path: Path) -> None:
    model = tiny_model()
    model.bert.pooler.dense.bias.data.zero_()
    save_pretraining_model(model, tiny_tokenizer(tmp_path), tmp_path / "m")
    assert describe(tmp_path / "m")["pooler"] == "untrained"


def test_models_of_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    described = as_json(save_bert(tiny_bert(BertForQuestionAnswering), tmp_path / "qa"), capsys)
    assert described["heads"] == []
    assert described["pooler"] == "absent"
    assert described["parameters_by_part"]["other_tasks"] == 2 * 32 + 2
    (tmp_path / "qa" / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n")
    assert describe(tmp_path / "qa")["tokenizer"]["cased"] is False
    text = shown(save_original(tmp_path / "checkpoint.pt", tiny_model()), capsys)
    assert "training checkpoint of the original release" in text
    assert "argparse.Namespace" in text


def test_a_fine_tuned_model_says_its_task_and_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_pretraining_model(tiny_model(), tiny_tokenizer(tmp_path), tmp_path / "m")
    task_class = find_task("classification")
    task = task_class(task_class.settings_class(kind="single-label", labels=("sport", "politics")))
    model, tokenizer, _ = new_task_model(task, tmp_path / "m")
    save_task_model(model, task, tokenizer, tmp_path / "tuned")
    described = as_json(tmp_path / "tuned", capsys)
    assert described["task"] == "classification"
    assert described["settings"]["labels"] == ["sport", "politics"]
    assert described["heads"] == ["classification"]
    assert "sport, politics" in shown(tmp_path / "tuned", capsys)
    assert "task" not in as_json(tmp_path / "m", capsys)


def make_run(folder: Path, **record: Any) -> None:
    folder.mkdir(exist_ok=True)
    write_json(
        folder / "run.json",
        {
            "verb": "pretrain",
            "status": "running",
            "command": "spanbert pretrain corpus --output run",
            "started": "2024-05-01T10:00:00+00:00",
            "config": {"batch_size": 32},
            "corpus": {"counts": {"num_documents": 12}},
            **record,
        },
    )
    history = History(folder / "history.jsonl")
    history.add(10, "training", {"mlm_loss": 8.5})
    history.add(20, "training", {"mlm_loss": 7.25})
    history.add(20, "held-out", {"mlm_loss": 7.5})
    (folder / "checkpoints" / "step-00000020").mkdir(parents=True)


def test_a_run_that_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "run")
    described = as_json(tmp_path / "run", capsys)
    assert described["kind"] == "run"
    assert described["record"]["config"] == {"batch_size": 32}
    assert described["checkpoints"] == ["step-00000020"]
    assert described["last_figures"] == {
        "training": {"step": 20, "mlm_loss": 7.25},
        "held-out": {"step": 20, "mlm_loss": 7.5},
    }
    text = shown(tmp_path / "run", capsys)
    for part in ("running", "spanbert pretrain corpus --output run", "step-00000020", "7.25", "12"):
        assert part in text


def test_a_run_that_was_killed_is_told_from_one_that_goes_on(tmp_path: Path) -> None:
    (tmp_path / "seed-0").mkdir()
    for folder in (tmp_path, tmp_path / "seed-0"):
        (folder / "run.json").write_text('{"status": "running"}')
    with (tmp_path / ".lock").open("a") as lock:
        assert lock_file(lock)
        for folder in (tmp_path, tmp_path / "seed-0"):
            assert describe(folder)["record"]["status"] == "running"
    for folder in (tmp_path, tmp_path / "seed-0"):
        assert "killed: no process holds its folder" in describe(folder)["record"]["status"]


def test_a_model_with_the_run_that_made_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "m", status="finished", metrics={"held-out": {"mlm_loss": 3.125}})
    save_pretraining_model(tiny_model(), tiny_tokenizer(tmp_path / "vocabulary"), tmp_path / "m")
    described = as_json(tmp_path / "m", capsys)
    assert described["kind"] == "model"
    assert described["run"]["record"]["status"] == "finished"
    text = shown(tmp_path / "m", capsys)
    assert "3.125" in text
    assert "finished" in text


def test_a_corpus_is_described_without_torch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.txt").write_text("One day in Paris.\n\nAnother day in Paris.\n")
    config = PrepareConfig(
        inputs=(str(tmp_path / "text.txt"),), output=tmp_path / "corpus", workers=1, quiet=True, vocab_size=60
    )
    corpus = prepare(config)
    assert as_json(tmp_path / "corpus", capsys) == json.loads(json.dumps(corpus.describe()))
    assert corpus.tokenizer.fingerprint in shown(tmp_path / "corpus", capsys)
    program = (
        "import sys; from spanbert.info import InfoConfig, run; run(InfoConfig(path=sys.argv[1]));"
        "assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "corpus")], check=True, capture_output=True)
    next((tmp_path / "corpus").glob("pieces.bin")).unlink()
    with pytest.raises(CorpusError, match="missing"):
        describe(tmp_path / "corpus")


def test_the_options_are_free_of_torch() -> None:
    program = "import sys, spanbert.convert, spanbert.info; assert not {'torch', 'transformers'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_other_things_are_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("text")
    with pytest.raises(InputError, match=r"no model .* no ablation \(ablation\.json\); it holds note\.txt"):
        describe(tmp_path)
    with pytest.raises(CheckpointError, match="damaged, cut off, or something else"):
        describe(tmp_path / "note.txt")
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json: the record of the run is not JSON"):
        describe(tmp_path)
