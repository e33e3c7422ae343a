"""Domain words become pieces of a model without a change to what it knew."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from tiny_models import tiny_model, tiny_tokenizer
from transformers import AutoModelForMaskedLM

from spanbert.checkpoints import (
    add_domain_words,
    extend_vocabulary,
    load_pretraining_model,
    load_tokenizer,
    save_pretraining_model,
)
from spanbert.errors import CorpusError

NEW = ["stents", "Paris-stenosis", "capital", "stenosis", "qqq"]  # three are new: "stents", "-", "qqq"


@pytest.mark.parametrize("num_spare_rows", [0, 1, 9])
def test_new_rows_are_means_and_old_rows_stay(tmp_path: Path, num_spare_rows: int) -> None:
    tokenizer = tiny_tokenizer(tmp_path)
    before = copy.deepcopy(tokenizer)
    num_before = before.vocab_size
    model = tiny_model(vocab_size=num_before + num_spare_rows)
    old = {name: value.clone() for name, value in model.state_dict().items()}
    assert add_domain_words(model, tokenizer, NEW) == 3
    assert tokenizer.vocab_size == num_before + 3
    num_rows = num_before + max(3, num_spare_rows)
    assert model.config.vocab_size == num_rows
    assert model.cls.sbo is not None
    words = {"stents": ["stent", "##s"], "-": ["[UNK]"], "qqq": ["[UNK]"]}
    for name in ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias", "cls.sbo.bias"):
        value = model.state_dict()[name]
        assert len(value) == num_rows
        assert torch.equal(value[:num_before], old[name][:num_before])
        assert torch.equal(value[num_before + 3 :], old[name][num_before + 3 :])
        for word, pieces in words.items():
            rows = old[name][[before.id(piece) for piece in pieces]]
            torch.testing.assert_close(value[tokenizer.id(word)], rows.mean(0))
    for name, value in model.state_dict().items():
        if "word_embeddings" not in name and not name.endswith(("decoder.weight", "decoder.bias", "predictions.bias")):
            assert name == "cls.sbo.bias" or torch.equal(value, old[name])
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
    assert model.cls.predictions.decoder.bias is model.cls.predictions.bias


def test_a_grown_model_trains_saves_and_opens(tmp_path: Path) -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer(tmp_path / "vocabulary")
    add_domain_words(model, tokenizer, ["stents"])
    ids = torch.tensor([[2, tokenizer.id("stents"), 4, 3]])
    hidden = model.bert(ids).last_hidden_state[0]
    logits = model.masked_piece_logits(hidden, torch.tensor([2]))
    assert logits.shape == (1, tokenizer.vocab_size)
    logits.logsumexp(-1).sum().backward()
    gradient = model.bert.embeddings.word_embeddings.weight.grad
    assert gradient is not None
    assert gradient[tokenizer.id("stents")].any()
    save_pretraining_model(model, tokenizer, tmp_path / "m")
    again, report = load_pretraining_model(tmp_path / "m", require_heads=True)
    assert not report.new
    assert torch.equal(again.bert.embeddings.word_embeddings.weight, model.bert.embeddings.word_embeddings.weight)
    assert load_tokenizer(tmp_path / "m").fingerprint == tokenizer.fingerprint
    with torch.no_grad():
        theirs = AutoModelForMaskedLM.from_pretrained(tmp_path / "m")(ids).logits[0, 2]
    torch.testing.assert_close(theirs, logits[0].detach(), rtol=0, atol=1e-5)


def test_only_the_same_tokenizer_with_words_added_is_taken(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(tmp_path)
    model = tiny_model()
    assert extend_vocabulary(model, tokenizer, tokenizer, source="corpus") == 0
    grown = copy.deepcopy(tokenizer)
    grown.add_words(["stents"])
    other = tiny_tokenizer(tmp_path / "other")
    (tmp_path / "other" / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    other = load_tokenizer(tmp_path / "other")
    for new in (other, tiny_tokenizer(tmp_path).train(["one two three"], min_frequency=1)):
        with pytest.raises(CorpusError, match="corpus was made with another tokenizer"):
            extend_vocabulary(model, tokenizer, new, source="corpus")
    with pytest.raises(CorpusError):
        extend_vocabulary(model, grown, tokenizer, source="corpus")
    assert model.config.vocab_size == tokenizer.vocab_size
    assert extend_vocabulary(model, tokenizer, grown, source="corpus") == 1
