"""Special pieces of a task are in the tokenizer, in its files and in the model, and never come of text."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_models import tiny_tokenizer
from transformers import AutoTokenizer

from spanbert.errors import InputError

NEW = ["[SUBJ-PERSON]", "[/SUBJ-PERSON]", "[OBJ-体 育]"]
TEXT = "the [SUBJ-PERSON] patient [/SUBJ-PERSON] of [OBJ-体 育]"


def test_special_pieces_survive_files_and_transformers_knows_them(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(tmp_path)
    before = tokenizer.encode(TEXT).ids.tolist()
    size, fingerprint = tokenizer.vocab_size, tokenizer.fingerprint
    assert tokenizer.add_special([*NEW, *NEW]) == 3
    assert tokenizer.add_special([*NEW, "[SEP]", "the"]) == 0
    assert [tokenizer.id(piece) for piece in NEW] == [size, size + 1, size + 2]
    assert tokenizer.vocab_size == size + 3
    assert tokenizer.fingerprint != fingerprint
    assert tokenizer.encode(TEXT).ids.tolist() == before  # text that looks like a piece stays text
    recognised = tokenizer.encode(TEXT, recognise_special=True).ids.tolist()
    assert [number for number in recognised if number >= size] == [size, size + 1, size + 2]
    tokenizer.add_words(["France", "zebra"])
    assert tokenizer.id("zebra") == size + 3
    tokenizer.save(tmp_path / "saved")
    again = type(tokenizer).load(tmp_path / "saved")
    assert again.fingerprint == tokenizer.fingerprint
    assert again.encode(TEXT).ids.tolist() == before
    theirs = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert len(theirs) == again.vocab_size
    assert theirs(TEXT, add_special_tokens=False)["input_ids"] == recognised
    assert "[SUBJ-PERSON]" not in theirs.decode(recognised, skip_special_tokens=True)


@pytest.mark.parametrize("piece", ["", " ", "[A\nB]", "[\ud800]"])
def test_pieces_that_no_file_can_hold_are_refused(piece: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        tiny_tokenizer(tmp_path).add_special([piece])
