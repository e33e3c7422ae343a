"""`spanbert pretrain` from end to end: what it writes, and that nothing can spoil a run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, BertForMaskedLM
from transformers.utils import logging as transformers_logging

from spanbert.checkpoints import load_pretraining_model
from spanbert.cli import main
from spanbert.durable_files import lock_file
from spanbert.errors import CheckpointError, ConfigurationError, CorpusError, TrainingError
from spanbert.tasks.pretraining import pretrain as pretrain_module
from spanbert.tasks.pretraining.config import PretrainConfig
from spanbert.tasks.pretraining.corpus import Corpus
from spanbert.tasks.pretraining.data import PretrainingData
from spanbert.tasks.pretraining.evaluate import EvaluateConfig, evaluate_pretraining
from spanbert.tasks.pretraining.prepare import PrepareConfig, prepare
from spanbert.tasks.pretraining.pretrain import pretrain
from spanbert.training import checkpointing
from spanbert.training.record import read_history

Tiny = Callable[..., PretrainConfig]

OF_THE_MODEL: dict[str, Any] = {"layers": None, "width": None, "heads": None, "max_positions": 512}
"""With --from, the model says these."""


def command(config: PretrainConfig, **extra: Any) -> list[str]:
    """The command line of a configuration, without what is at its default."""
    words = ["pretrain", str(config.corpus)]
    for name, default in vars(PretrainConfig(corpus=config.corpus, output=config.output)).items():
        value = extra.get(name, getattr(config, name))
        if name == "corpus" or (value == default and name != "output"):
            continue
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        else:
            words += [flag, str(value)]
    return words


def losses(folder: Path) -> list[float]:
    rows = read_history(folder / "history.jsonl")
    return [row[name] for row in rows for name in ("mlm_loss", "sbo_loss") if name in row]


def same_weights(one: Path, other: Path) -> bool:
    first, second = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def finished(corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of twelve steps with dropout that nobody disturbed."""
    output = tmp_path_factory.mktemp("finished") / "model"
    pretrain(undisturbed(corpus_folder, output))
    return output


def undisturbed(corpus: Path, output: Path, **options: Any) -> PretrainConfig:
    defaults: dict[str, Any] = {
        "layers": 1, "width": 32, "heads": 2, "sequence_length": 64, "max_positions": 64, "batch_size": 8, "steps": 12,
        "save_every": 3, "validate_every": 6, "log_every": 2, "held_out": 0.1, "precision": "fp32", "device": "cpu",
        "quiet": True, "micro_batch_pieces": 300, "learning_rate": 1e-2, "keep_checkpoints": 3,
    }  # fmt: skip
    return PretrainConfig(corpus=corpus, output=output, **{**defaults, **options})


def test_the_folder_is_a_model_with_its_record(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "vocab.txt", "README.md", "run.json"}
    assert (finished / "curves.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((finished / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["versions"]["torch"] == torch.__version__
    assert record["metrics"]["held-out"]["perplexity"] > 1
    assert record["corpus"]["counts"]["num_documents"] == 20
    assert "held-out" in (finished / "README.md").read_text()
    curve = losses(finished)
    assert curve[-1] < curve[0] - 0.3
    assert [p.name for p in sorted((finished / "checkpoints").iterdir())] == [f"step-{step:08d}" for step in (6, 9, 12)]


def test_transformers_opens_it_with_the_same_logits(finished: Path) -> None:
    transformers_logging.set_verbosity_error()
    tokenizer = AutoTokenizer.from_pretrained(finished)
    batch = tokenizer(["The old ferry waits.", "Snow [MASK] fell"], return_tensors="pt", padding=True)
    theirs, info = AutoModelForMaskedLM.from_pretrained(finished, output_loading_info=True)
    assert not info["missing_keys"]
    # BertForMaskedLM has no place for the pooler, which AutoModel wants.
    assert {name.split(".")[1] for name in info["unexpected_keys"]} == {"sbo", "pooler"}
    _, info = AutoModel.from_pretrained(finished, output_loading_info=True)
    assert not info["missing_keys"]
    ours, _ = load_pretraining_model(finished, require_heads=True)
    with torch.inference_mode():
        hidden = ours.bert(batch["input_ids"], batch["attention_mask"]).last_hidden_state
        logits = ours.cls.predictions(hidden)
        expected = theirs.eval()(**batch).logits
    kept = batch["attention_mask"].bool()
    torch.testing.assert_close(logits[kept], expected[kept], atol=1e-5, rtol=1e-5)


def test_evaluate_gives_the_figures_of_validation(finished: Path, corpus_folder: Path, tmp_path: Path) -> None:
    other = pretrain(undisturbed(corpus_folder, tmp_path / "model", validation=(corpus_folder,), log_every=12))
    expected = other.metrics["corpus"]
    got = evaluate_pretraining(
        EvaluateConfig(
            model=str(tmp_path / "model"), corpus=corpus_folder, sequence_length=64, precision="fp32", device="cpu"
        )
    )
    assert got == pytest.approx({name: value for name, value in expected.items() if name != "step"}, rel=1e-5)
    assert same_weights(tmp_path / "model", finished)  # validating on more changes nothing


def test_killed_at_any_moment_and_resumed_it_ends_the_same(finished: Path, corpus_folder: Path, tmp_path: Path) -> None:
    config = undisturbed(corpus_folder, tmp_path / "model")
    process = subprocess.Popen([sys.executable, "-m", "spanbert", *command(config)], stderr=subprocess.PIPE)
    second = config.output / "checkpoints" / "step-00000006"
    deadline = time.monotonic() + 120
    while not second.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    _, errors = process.communicate()
    assert second.exists(), errors.decode()
    assert pretrain(undisturbed(corpus_folder, config.output, resume=True)).stopped_by == 0
    assert same_weights(config.output, finished)

    def curve(folder: Path) -> list[dict[str, Any]]:
        rows = read_history(folder / "history.jsonl")
        return [{key: value for key, value in row.items() if key != "pieces_per_second"} for row in rows]

    assert curve(config.output) == curve(finished)


def test_sigterm_saves_and_stops(
    finished: Path, corpus_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = undisturbed(corpus_folder, tmp_path / "model")
    original = PretrainingData.micro_batches

    def terminating(self: PretrainingData, step: int, rank: int, num_ranks: int) -> Any:
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, step, rank, num_ranks)

    monkeypatch.setattr(PretrainingData, "micro_batches", terminating)
    assert main(command(config)) == 128 + signal.SIGTERM
    assert json.loads((config.output / "run.json").read_text())["status"] == "interrupted"
    assert not (config.output / "model.safetensors").exists()
    newest = max(int(path.name[5:]) for path in (config.output / "checkpoints").iterdir())
    assert newest in {4, 5, 6}
    monkeypatch.undo()
    started = json.loads((config.output / "run.json").read_text())["started"]
    assert main(command(config, resume=True)) == 0
    assert same_weights(config.output, finished)
    record = json.loads((config.output / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["started"] == started
    assert len(record["resumed"]) == 1


def test_two_processes_give_the_losses_of_one(corpus_folder: Path, tmp_path: Path) -> None:
    options = {"dropout": 0.0, "log_every": 1, "steps": 6, "learning_rate": 1e-3, "batch_size": 9}
    one = undisturbed(corpus_folder, tmp_path / "one", **options)
    two = undisturbed(corpus_folder, tmp_path / "two", **options)
    pretrain(one)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "spanbert"]
    done = subprocess.run([*launch, *command(two)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((two.output / "run.json").read_text())["machine"]["processes"] == 2
    assert losses(two.output) == pytest.approx(losses(one.output), abs=1e-5)
    assert len(losses(one.output)) == 6 * 2 + 2


def test_splitting_a_step_changes_nothing(tiny: Tiny, tmp_path: Path) -> None:
    whole = tiny(output=tmp_path / "whole", dropout=0.0, micro_batch_pieces=10_000)
    split = tiny(output=tmp_path / "split", dropout=0.0, micro_batch_pieces=64)
    pretrain(whole)
    pretrain(split)
    assert losses(split.output) == pytest.approx(losses(whole.output), abs=1e-5)


def test_a_loss_that_is_no_number_keeps_the_last_good_checkpoint(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny()
    model_class = pretrain_module.SpanBertForPreTraining
    original = model_class.forward
    calls = 0

    def poisoned(self: Any, batch: Any) -> Any:
        nonlocal calls
        calls += self.training
        output = original(self, batch)
        if calls == 4:
            output.losses["mlm"] = output.losses["mlm"] * float("nan")
        return output

    monkeypatch.setattr(model_class, "forward", poisoned)
    with pytest.raises(TrainingError, match=r"not a number at step 4 .*last good checkpoint is .*step-00000002"):
        pretrain(config)
    monkeypatch.undo()
    assert pretrain(tiny(resume=True)).stopped_by == 0


def test_a_full_disk_is_an_error_that_keeps_what_is_there(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny()

    def full(path: Path, num_bytes: int) -> None:
        if (config.output / "checkpoints" / "step-00000002").exists():
            (path / "checkpoints" / ".unfinished-00000004").mkdir()  # what a crash would leave
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("spanbert.training.loop.require_free_space", full)
    with pytest.raises(TrainingError, match=r"step 4 cannot be written.*No space left.*step-00000002"):
        pretrain(config)
    monkeypatch.undo()
    pretrain(tiny(resume=True))
    assert not list((config.output / "checkpoints").glob(".unfinished*"))


def test_too_little_room_is_seen_before_writing(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="make room"):
        checkpointing.require_free_space(tmp_path, 10**18)


def test_a_damaged_checkpoint_is_passed_over(
    finished: Path, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = undisturbed(corpus_folder, tmp_path / "model")
    pretrain(config)
    newest = config.output / "checkpoints" / "step-00000012" / "optimizer.bin"
    damaged = bytearray(newest.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    newest.write_bytes(damaged)
    (config.output / "model.safetensors").unlink()
    pretrain(undisturbed(corpus_folder, config.output, resume=True))
    assert "optimizer.bin have changed; trying the checkpoint before it" in capsys.readouterr().err
    assert same_weights(config.output, finished)
    for checkpoint in (config.output / "checkpoints").iterdir():
        (checkpoint / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="all 3 checkpoints are damaged"):
        pretrain(undisturbed(corpus_folder, config.output, resume=True))


def test_resuming_after_all_checkpoints_are_damaged_but_one_keeps_that_one(tiny: Tiny) -> None:
    config = tiny(save_every=2, keep_checkpoints=3)
    pretrain(config)
    folder = config.output / "checkpoints"
    for step in (4, 6):
        (folder / f"step-{step:08d}" / "optimizer.bin").write_bytes(b"")
    pretrain(tiny(save_every=2, keep_checkpoints=1, resume=True))
    assert [path.name for path in folder.iterdir()] == ["step-00000006"]
    checkpointing.read_checkpoint(folder / "step-00000006")


def test_a_run_whose_checkpoints_are_gone_is_not_started_over(tiny: Tiny) -> None:
    config = tiny()
    pretrain(config)
    shutil.rmtree(config.output / "checkpoints")
    before = (config.output / "history.jsonl").read_text()
    with pytest.raises(CheckpointError, match="checkpoints of this run are gone"):
        pretrain(tiny(resume=True))
    assert (config.output / "history.jsonl").read_text() == before


def test_a_typing_error_does_not_cost_the_old_run(tiny: Tiny, tmp_path: Path) -> None:
    pretrain(tiny(steps=1))
    with pytest.raises(CorpusError):
        pretrain(tiny(corpus=tmp_path / "nowhere", overwrite=True))
    with pytest.raises(ConfigurationError, match="which this run reads"):
        pretrain(tiny(init_from=str(tmp_path / "model"), overwrite=True, **OF_THE_MODEL))
    assert (tmp_path / "model" / "model.safetensors").exists()


def test_two_runs_at_once_are_refused(tiny: Tiny) -> None:
    config = tiny(steps=1)
    config.output.mkdir()
    with (config.output / ".lock").open("a") as lock:
        assert lock_file(lock)
        with pytest.raises(ConfigurationError, match="another run is writing"):
            pretrain(config)
    pretrain(config)
    assert not (config.output / ".lock").exists()


def test_output_may_be_the_folder_one_stands_in(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    pretrain(tiny(output=Path(), steps=1))
    assert (tmp_path / "here" / "model.safetensors").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_resuming_with_another_corpus_is_refused(tiny: Tiny, corpus_folder: Path, tmp_path: Path) -> None:
    pretrain(tiny(steps=2))
    source = json.loads((corpus_folder.parent / "twenty.jsonl").read_text().splitlines()[0])["text"]
    (tmp_path / "text.txt").write_text(source)
    options = {"inputs": (str(tmp_path / "text.txt"),), "tokenizer": str(corpus_folder / "tokenizer"), "quiet": True}
    other = prepare(PrepareConfig(**options, output=tmp_path / "other", workers=1))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="corpus: was"):
        pretrain(tiny(steps=2, resume=True, corpus=other.path))


def test_a_damaged_corpus_is_seen_before_training(tiny: Tiny, corpus_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus_folder, tmp_path / "copy")
    pieces = bytearray((tmp_path / "copy" / "pieces.bin").read_bytes())
    pieces[100] ^= 1
    (tmp_path / "copy" / "pieces.bin").write_bytes(pieces)
    with pytest.raises(CorpusError, match=r"pieces\.bin"):
        pretrain(tiny(corpus=tmp_path / "copy"))


def test_a_disk_that_is_full_for_the_curves_is_an_error_too(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spanbert.training.record.History.add", full)
    with pytest.raises(TrainingError, match="No space left on device; make room"):
        pretrain(tiny())
    assert json.loads((tiny().output / "run.json").read_text())["status"] == "failed"


def test_another_run_is_never_overwritten_or_mixed(tiny: Tiny, tmp_path: Path) -> None:
    pretrain(tiny(steps=2))
    with pytest.raises(ConfigurationError, match="already holds a run"):
        pretrain(tiny(steps=2))
    record = (tmp_path / "model" / "run.json").read_text()
    with pytest.raises(ConfigurationError, match=r"dropout: was None, now 0.3"):
        pretrain(tiny(steps=2, resume=True, dropout=0.3))
    assert (tmp_path / "model" / "run.json").read_text() == record
    pretrain(tiny(steps=3, overwrite=True))
    other = tmp_path / "letters"
    other.mkdir()
    (other / "dear.txt").write_text("mine")
    for options in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(ConfigurationError, match="is not empty"):
            pretrain(tiny(output=other, **options))
    assert (other / "dear.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "as-released"},
        {"scheme": "pieces", "nsp": True},
        {"scheme": "whole-words", "sbo": False},
        {"scheme": "entities"},
        {"nsp": True},
        {"schedule": "cosine", "max_grad_norm": 0.0},
        {"precision": "auto"},
        {"tracker": "tensorboard"},
    ],
    ids=str,
)
def test_every_way_to_train_works(tiny: Tiny, options: dict[str, Any]) -> None:
    result = pretrain(tiny(steps=2, **options))
    metrics = result.metrics["held-out"]
    assert ("sbo_loss" in metrics) == (options.get("scheme") not in {"pieces", "whole-words"})
    assert ("nsp_loss" in metrics) == options.get("nsp", False)
    model, report = load_pretraining_model(result.output, require_heads=True)
    assert not report.new
    rows = 15 if options.get("preset") == "as-released" else 20
    if model.cls.sbo is not None:
        assert model.cls.sbo.position_embeddings.num_embeddings == rows


def test_a_missing_annotation_is_an_error(tiny: Tiny) -> None:
    with pytest.raises(CorpusError, match="noun-phrase"):
        pretrain(tiny(scheme="noun-phrases"))


def test_continuing_from_another_model(
    tiny: Tiny, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = Corpus.open(corpus_folder)
    bert = BertForMaskedLM(
        pretrain_module.initial_config(
            pretrain_module.PretrainingSettings(), vocab_size=corpus.vocab_size, hidden_size=32, num_hidden_layers=1,
            num_attention_heads=2, intermediate_size=64, max_position_embeddings=64,
        )
    )  # fmt: skip
    bert.save_pretrained(tmp_path / "bert")
    corpus.tokenizer.save(tmp_path / "bert")
    words = tmp_path / "words.txt"
    words.write_text("angioplasty\nLedgerline\n")
    grown = prepare(
        PrepareConfig(
            inputs=(str(corpus_folder.parent / "twenty.jsonl"),),
            output=tmp_path / "grown",
            tokenizer=str(tmp_path / "bert"),
            add_words=words,
            workers=1,
            quiet=True,
        )
    )
    assert grown.vocab_size == corpus.vocab_size + 2
    capsys.readouterr()
    pretrain(
        tiny(
            corpus=grown.path,
            init_from=str(tmp_path / "bert"),
            **OF_THE_MODEL,
            learning_rate=1e-5,
            steps=1,
            quiet=False,
        )
    )
    printed = capsys.readouterr().err
    assert "cls.sbo.linear1.weight" in printed  # new
    assert "2 pieces of the corpus's vocabulary are new" in printed
    before = bert.state_dict()["bert.embeddings.word_embeddings.weight"]
    after = load_file(tmp_path / "model" / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    torch.testing.assert_close(after[: len(before)], before, atol=1e-3, rtol=0)
    assert len(after) == len(before) + 2


def test_a_corpus_of_another_tokenizer_is_refused(tiny: Tiny, corpus_folder: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("A few words.\n" * 50)
    other = prepare(
        PrepareConfig(inputs=(str(text),), output=tmp_path / "other", vocab_size=200, workers=1, quiet=True)
    )
    with pytest.raises(CorpusError, match="another tokenizer"):
        pretrain(tiny(validation=(other.path,)))
    pretrain(tiny(steps=1, overwrite=True))
    with pytest.raises(CorpusError, match="another tokenizer"):
        pretrain(tiny(corpus=other.path, output=tmp_path / "next", init_from=str(tmp_path / "model"), **OF_THE_MODEL))
    with pytest.raises(CorpusError, match="another tokenizer"):
        evaluate_pretraining(EvaluateConfig(model=str(tmp_path / "model"), corpus=other.path))


def test_estimate_measures_and_writes_nothing(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny(estimate=True, steps=1000)
    assert pretrain_module.run(config) == 0
    figures = dict(line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    model = pretrain_module.SpanBertForPreTraining(pretrain_module.initial_config(
        pretrain_module.PretrainingSettings(), vocab_size=800, hidden_size=32, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=128, max_position_embeddings=64,
    ))  # fmt: skip
    assert int(figures["parameters"].replace(",", "")) == sum(p.numel() for p in model.parameters())
    assert int(figures["steps"].replace(",", "")) == 1000
    assert float(figures["pieces per second"].replace(",", "")) > 0
    assert not config.output.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "--steps must be above 0"),
        ({"held_out": 1.0}, "--held-out"),
        ({"sequence_length": 65}, "--max-positions"),
        ({"sequence_length": 2}, "--sequence-length must be at least 3"),
        ({"heads": 3}, "cannot be split into 3 attention heads"),
        ({"budget": 1.5}, "budget"),
        ({"dropout": 1.0}, "--dropout"),
        ({"initializer_range": 0.0}, "--initializer-range is above 0"),
        ({"initializer_range": float("nan")}, "--initializer-range is above 0"),
        ({"resume": True, "overwrite": True}, "contradict"),
        ({"preset": "as-released", "scheme": "pieces"}, "as-released"),
        ({"sbo_positions": 0}, "--no-sbo"),
        ({"warmup": 2.0}, "--warmup"),
        ({"threads": 0}, "--threads"),
        ({"seed": -1}, "--seed"),
        ({"held_out_seed": -1}, "--held-out-seed"),
        ({"epochs": float("inf")}, "--epochs"),
        ({"weight_decay": float("nan")}, "--weight-decay"),
        ({"max_span_words": 10**9}, "longest span"),
        ({"layers": 0}, "--layers must be at least 1"),
        ({"layers": -1}, "--layers must be at least 1"),
        ({"adam_betas": (1.5, 0.9)}, "--adam-betas"),
        ({"learning_rate": float("nan")}, "--learning-rate"),
        ({"learning_rate": 0.0}, "--learning-rate must be above 0"),
        ({"scheme": "whole-words", "span_p": 0.5}, "--span-p has no effect"),
        ({"preset": "as-released", "sbo_positions": 30}, "--sbo-positions has no effect"),
        ({"sbo": False, "sbo_positions": 30}, "--sbo-positions has no effect"),
        ({"init_from": "model"}, "--layers is for a new model"),
    ],
)
def test_options_out_of_range_are_refused(tiny: Tiny, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        tiny(**options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="no GPU"):
        pretrain(tiny(device="cuda"))
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ConfigurationError, match="FSDP needs a GPU"):
        pretrain(tiny())
    with pytest.raises(ConfigurationError, match="muon needs whole matrices"):
        pretrain(tiny(optimizer="muon"))


def test_a_new_model_begins_with_weights_as_large_as_asked_for(tiny: Tiny) -> None:
    config = tiny(initializer_range=0.5, learning_rate=1e-9, steps=1)
    pretrain(config)
    model, _ = load_pretraining_model(config.output)
    assert model.config.initializer_range == 0.5
    assert float(model.bert.encoder.layer[0].intermediate.dense.weight.detach().std()) == pytest.approx(0.5, rel=0.05)


def test_runs_with_other_seeds_can_hold_out_the_same_documents(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    held_out: list[list[int]] = []
    original = Corpus.held_out_documents

    def seen(self: Corpus, share: float, seed: int) -> Any:
        chosen = original(self, share, seed)
        held_out.append(chosen.nonzero()[0].tolist())
        return chosen

    monkeypatch.setattr(Corpus, "held_out_documents", seen)
    for options in ({"seed": 0}, {"seed": 1}, {"seed": 1, "held_out_seed": 0}):
        pretrain(tiny(**options, held_out=0.3, steps=1, overwrite=True))
    assert held_out[0] == held_out[2] != held_out[1]
