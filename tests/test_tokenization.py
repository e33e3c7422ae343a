import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from spanbert.errors import CheckpointError, ConfigurationError, InputError
from spanbert.spans import Span
from spanbert.tokenization import Encoding, PieceTokenizer

TEXTS = [
    "The river Aldra rises in the hills above Tormund and flows past three old mills.",
    "Every spring the council counts the boats, clears the quay, and asks each keeper to check which locks still work.",
    "A small museum beside the weir explains how the lock-keepers lived, what they earned, and why so many left.",
    "Dr. Okafor's team re-measured the river's depth in 2019: 4.5 metres, not 3.9!",
    "Ein kühler Fluß, façade, naïveté, and the Ålesund ferry — all in one line.",
    "北京的天气很好，我们去公园散步。研究人员发现了新的方法。",
    "東京は日本の首都です。カタカナとひらがなも読めます。",
    "Mixed 中文 and English, カメラ and 写真, with emoji 🙂 and 👩‍🔬.",
] * 4


@pytest.fixture(scope="module")
def cased() -> PieceTokenizer:
    return PieceTokenizer.train(TEXTS, vocab_size=390, min_frequency=2, character_coverage=1.0)


@pytest.fixture(scope="module")
def uncased() -> PieceTokenizer:
    return PieceTokenizer.train(TEXTS, vocab_size=390, min_frequency=2, lowercase=True, character_coverage=1.0)


def pieces_of(tokenizer: PieceTokenizer, encoding: Encoding) -> list[str]:
    return [tokenizer.piece(number) for number in encoding.ids]


# Learning a vocabulary


def test_a_vocabulary_begins_with_the_special_pieces_and_has_the_size_asked_for(cased: PieceTokenizer) -> None:
    assert [cased.piece(number) for number in range(5)] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert cased.special_ids == (0, 1, 2, 3, 4)
    assert cased.vocab_size == 390
    assert len({cased.piece(number) for number in range(390)}) == 390


def test_the_same_text_gives_the_same_vocabulary_in_another_process(cased: PieceTokenizer) -> None:
    program = f"""
from spanbert.tokenization import PieceTokenizer
print(PieceTokenizer.train({TEXTS!r}, vocab_size=390, min_frequency=2, character_coverage=1.0).fingerprint)
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == cased.fingerprint


def test_every_known_letter_can_also_continue_a_word(cased: PieceTokenizer) -> None:
    assert pieces_of(cased, cased.encode("Qq"))[0] == "[UNK]"  # no Q in the texts
    joined = cased.encode("TßÅé")
    assert "[UNK]" not in pieces_of(cased, joined)
    assert joined.words.tolist() == [0] * len(joined)


def test_rare_characters_are_left_out_of_the_vocabulary() -> None:
    tokenizer = PieceTokenizer.train(["ab ab ab ab Ω"] * 500 + ["ж"], vocab_size=50, character_coverage=0.999)
    assert pieces_of(tokenizer, tokenizer.encode("ab Ω ж")) == ["ab", "Ω", "[UNK]"]


def test_characters_take_up_half_the_vocabulary_at_most() -> None:
    characters = "".join(chr(0x4E00 + number) for number in range(500))
    tokenizer = PieceTokenizer.train([characters] * 3 + ["word words worded"] * 500, vocab_size=100)
    assert pieces_of(tokenizer, tokenizer.encode("words")) == ["words"]
    assert sum(len(tokenizer.piece(number)) == 1 for number in range(tokenizer.vocab_size)) <= 50


@pytest.mark.parametrize("texts", [[], [""], ["\u200b \n"]])
def test_no_text_to_learn_from_is_an_error(texts: list[str]) -> None:
    with pytest.raises(InputError, match="no text"):
        PieceTokenizer.train(texts)


def test_a_vocabulary_too_small_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="too small"):
        PieceTokenizer.train(["some text"], vocab_size=5)


# Pieces, words and characters

LETTERS = st.text(alphabet="ehiorstvAORDT'.,!- \t\n0129éßüÅ北京天東日本カメラひ写🙂", max_size=60)


@given(text=LETTERS)
@settings(max_examples=150, deadline=None)
def test_offsets_slice_the_text_back_to_the_pieces(cased: PieceTokenizer, text: str) -> None:
    encoding = cased.encode(text)
    for piece, (start, end) in zip(pieces_of(cased, encoding), encoding.offsets, strict=True):
        if piece != "[UNK]":
            assert text[start:end] == piece.removeprefix("##")
    covered = "".join(text[start:end] for start, end in encoding.offsets)
    assert covered == "".join(text.split())


@given(text=st.text(max_size=60))
@settings(max_examples=150, deadline=None)
def test_offsets_ascend_and_words_rise_by_one_for_any_text(
    cased: PieceTokenizer, uncased: PieceTokenizer, text: str
) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        return
    for tokenizer in (cased, uncased):
        encoding = tokenizer.encode(text)
        assert encoding.ids.shape == encoding.words.shape == encoding.word_starts.shape
        assert encoding.offsets.shape == (len(encoding), 2)
        assert (encoding.offsets[:, 0] <= encoding.offsets[:, 1]).all()
        assert (np.diff(encoding.offsets, axis=0) >= 0).all()
        assert (encoding.offsets <= len(text)).all()
        steps = np.diff(encoding.words)
        assert set(steps.tolist()) <= {0, 1}
        # What the fast way relies on: a word's first piece, and no other, has no "##".
        assert (encoding.word_starts == ~tokenizer.continues[encoding.ids]).all()
        assert encoding.word_starts.sum() == (encoding.words[-1] + 1 if len(encoding) else 0)


@given(texts=st.lists(LETTERS, max_size=5))
@settings(max_examples=50, deadline=None)
def test_the_fast_way_gives_the_same_pieces(cased: PieceTokenizer, texts: list[str]) -> None:
    ids, lengths = cased.encode_ids(texts)
    one_by_one = [cased.encode(text).ids.tolist() for text in texts]
    assert lengths.tolist() == [len(row) for row in one_by_one]
    assert ids.tolist() == [number for row in one_by_one for number in row]
    assert [encoding.ids.tolist() for encoding in cased.encode_batch(texts)] == one_by_one


def test_cjk_ideographs_are_words_of_their_own_and_kana_run_on(cased: PieceTokenizer) -> None:
    text = "日本のカメラ"
    encoding = cased.encode(text)
    words = [text[encoding.offsets[row][0, 0] : encoding.offsets[row][-1, 1]] for row in rows_by_word(encoding)]
    assert words == ["日", "本", "のカメラ"]


def rows_by_word(encoding: Encoding) -> list[np.ndarray]:
    return [np.flatnonzero(encoding.words == word) for word in range(encoding.words[-1] + 1)]


MARKS = "\u0308\u0301\ufe0f\u200d\U000e0100"


@given(words=st.lists(st.text(st.sampled_from(f"aoé京{MARKS}"), min_size=1, max_size=5), max_size=6))
@settings(max_examples=100, deadline=None)
def test_marks_belong_to_the_letter_before_them(
    cased: PieceTokenizer, uncased: PieceTokenizer, words: list[str]
) -> None:
    words = [f"o{word}" for word in words]
    text = " ".join(words)
    for tokenizer in (cased, uncased):
        encoding = tokenizer.encode(text)
        covered = np.zeros(len(text), np.bool_)
        for start, end in encoding.offsets.tolist():
            covered[start:end] = True
        assert "".join(np.array(list(text))[~covered]).strip() == "", "nothing but white space lies between pieces"
        ends = set(encoding.offsets[:, 1].tolist())
        assert {match.end() for match in re.finditer(r"\S+", text)} <= ends


def test_what_is_dropped_and_no_mark_belongs_to_no_piece(uncased: PieceTokenizer) -> None:
    assert uncased.encode("a\u0308\u200b a\x00").offsets.tolist() == [[0, 2], [4, 5]]
    assert uncased.encode("a \u0308a").offsets.tolist() == [[0, 1], [3, 4]]


def test_offsets_count_code_points_after_emoji_and_accents(cased: PieceTokenizer, uncased: PieceTokenizer) -> None:
    text = "🙂🙂 e\u0301 the"
    for tokenizer in (cased, uncased):
        encoding = tokenizer.encode(text)
        assert text[encoding.offsets[-1, 0] : encoding.offsets[-1, 1]] == "the"


def test_text_without_visible_characters_has_no_pieces(cased: PieceTokenizer) -> None:
    for text in ("", "  \n", "\u200b\u200d\ufeff", "\x00\x07"):
        encoding = cased.encode(text)
        assert len(encoding) == 0
        assert encoding.offsets.shape == (0, 2)
        assert encoding.word_starts.shape == (0,)


def test_special_pieces_in_a_text_are_text_unless_asked_for(cased: PieceTokenizer) -> None:
    text = "The [MASK] [MASK] river[SEP]"
    as_text = cased.encode(text)
    assert not set(as_text.ids.tolist()) & {cased.mask_id, cased.sep_id, cased.cls_id}
    assert as_text.ids.tolist() == cased.encode_ids([text]).ids.tolist()
    recognised = cased.encode(text, recognise_special=True)
    assert pieces_of(cased, recognised) == ["The", "[MASK]", "[MASK]", "river", "[SEP]"]
    assert recognised.words.tolist() == [0, 1, 2, 3, 4]
    assert recognised.offsets.tolist() == [[0, 3], [4, 10], [11, 17], [18, 23], [23, 28]]


def test_a_lone_surrogate_is_an_error_with_its_place(cased: PieceTokenizer) -> None:
    with pytest.raises(InputError, match=r"character 2 .*\\ud83d"):
        cased.encode("ab\ud83d")
    with pytest.raises(InputError, match="surrogate"):
        cased.encode_ids(["fine", "\udc00"])


def test_a_segmenter_joins_words_and_never_cuts_one(cased: PieceTokenizer) -> None:
    text = "我们去公园 river"

    def segmenter(text: str) -> list[Span]:
        # 我们 | 去 | 公园, then a boundary inside "river", which the tokenizer does not have
        return [Span(0, 2), Span(2, 3), Span(3, 5), Span(6, 8), Span(8, 11)]

    encoding = cased.encode(text, segmenter=segmenter)
    assert encoding.ids.tolist() == cased.encode(text).ids.tolist()
    assert encoding.words.tolist() == [0, 0, 1, 2, 2] + [3] * (len(encoding) - 5)


def test_words_outside_the_segments_stay_apart(cased: PieceTokenizer) -> None:
    encoding = cased.encode("我们去公园", segmenter=lambda text: [Span(1, 3)])
    assert encoding.words.tolist() == [0, 1, 1, 2, 3]
    assert cased.encode("我们", segmenter=lambda text: []).words.tolist() == [0, 1]


def test_decoding_joins_pieces(cased: PieceTokenizer) -> None:
    text = "Dr. Okafor measured the depth, not the flow!"
    assert cased.decode(cased.encode(text).ids) == text
    assert cased.decode([cased.cls_id, cased.id("the"), cased.mask_id]) == "[CLS] the [MASK]"


def test_unknown_ids_and_pieces_are_errors(cased: PieceTokenizer) -> None:
    assert cased.piece(cased.id("the")) == "the"
    with pytest.raises(InputError, match=r"0\.\.389"):
        cased.piece(390)
    with pytest.raises(InputError, match="not a piece"):
        cased.id("no such piece")


# Adding words


def test_added_words_become_whole_pieces() -> None:
    tokenizer = PieceTokenizer.train(TEXTS, vocab_size=380)
    before = tokenizer.fingerprint
    assert len(tokenizer.encode("tachycardia")) > 1
    assert tokenizer.add_words(["tachycardia", "beta-blocker", "tachycardia", "river", "的"]) == 3
    assert tokenizer.vocab_size == 383
    assert pieces_of(tokenizer, tokenizer.encode("tachycardia beta-blocker")) == ["tachycardia", "beta", "-", "blocker"]
    assert tokenizer.id("tachycardia") == 380
    assert not tokenizer.continues[380]
    assert tokenizer.fingerprint != before
    # A real piece of the vocabulary: an "added token" would be found inside other words too.
    assert pieces_of(tokenizer, tokenizer.encode("xtachycardia"))[0] == "x"
    assert pieces_of(tokenizer, tokenizer.encode("tachycardias")) == ["tachycardia", "##s"]
    assert tokenizer.mask_id not in tokenizer.encode("[MASK]").ids
    assert tokenizer.encode("[MASK]", recognise_special=True).ids.tolist() == [tokenizer.mask_id]


def test_added_words_are_normalised(uncased: PieceTokenizer, tmp_path: Path) -> None:
    uncased.save(tmp_path)
    tokenizer = PieceTokenizer.load(tmp_path)
    assert tokenizer.add_words(["Tachycardía"]) == 1
    assert pieces_of(tokenizer, tokenizer.encode("TACHYCARDIA")) == ["tachycardia"]


# Files


@pytest.mark.parametrize("case", ["cased", "uncased"])
def test_transformers_opens_what_is_saved_with_the_same_pieces(
    case: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from transformers import AutoTokenizer

    tokenizer: PieceTokenizer = request.getfixturevalue(case)
    tokenizer.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert type(theirs).__name__.startswith("BertTokenizer")
    assert len(theirs) == tokenizer.vocab_size
    for text in [*TEXTS, "Ünïcode ÉCOLE e\u0301, \u200bzero\u00adwidth\x00 [x] ##ing 한국어 İstanbul"]:
        assert theirs(text, add_special_tokens=False)["input_ids"] == tokenizer.encode(text).ids.tolist()
    with_special = theirs("the river", "the [MASK]")["input_ids"]
    assert with_special.count(tokenizer.sep_id) == 2
    assert with_special[0] == tokenizer.cls_id
    assert with_special[-2] == tokenizer.mask_id


@pytest.mark.parametrize("case", ["cased", "uncased"])
def test_the_fingerprint_is_the_same_in_every_form(case: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    tokenizer: PieceTokenizer = request.getfixturevalue(case)
    tokenizer.save(tmp_path / "all")
    assert PieceTokenizer.load(tmp_path / "all").fingerprint == tokenizer.fingerprint
    for files in (["vocab.txt", "tokenizer_config.json"], ["vocab.txt"], ["tokenizer.json"]):
        folder = tmp_path / "-".join(files)
        folder.mkdir()
        for name in files:
            shutil.copy(tmp_path / "all" / name, folder)
        loaded = PieceTokenizer.load(folder)
        assert loaded.fingerprint == tokenizer.fingerprint
        assert loaded.encode(TEXTS[4]).ids.tolist() == tokenizer.encode(TEXTS[4]).ids.tolist()


def test_the_fingerprint_tells_tokenizers_apart(cased: PieceTokenizer, uncased: PieceTokenizer, tmp_path: Path) -> None:
    cased.save(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    fingerprints = {cased.fingerprint, uncased.fingerprint}
    for key in ("strip_accents", "tokenize_chinese_chars", "do_lower_case"):
        # Where the files disagree the configuration counts, as in `transformers`.
        changed = config | {key: not config[key]}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(changed))
        fingerprints.add(PieceTokenizer.load(tmp_path).fingerprint)
    assert len(fingerprints) == 5


def test_truncation_and_padding_of_a_loaded_tokenizer_are_off(cased: PieceTokenizer, tmp_path: Path) -> None:
    cased.save(tmp_path)
    raw = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    raw.enable_truncation(4)
    raw.enable_padding(length=4)
    raw.save(str(tmp_path / "tokenizer.json"))
    loaded = PieceTokenizer.load(tmp_path)
    assert [len(encoding) for encoding in loaded.encode_batch(["the river Aldra rises in the hills", "the"])][1] == 1
    assert loaded.encode_ids(["the river Aldra rises in the hills"]).lengths[0] >= 7


def test_a_vocabulary_with_a_line_twice_keeps_its_numbers(tmp_path: Path) -> None:
    lines = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "a", "##b"]
    (tmp_path / "vocab.txt").write_text("\r\n".join(lines) + "\r\n", newline="")
    tokenizer = PieceTokenizer.load(tmp_path)
    assert tokenizer.vocab_size == 9
    assert tokenizer.encode("Ab").ids.tolist() == [7, 8]  # lower-cased: there is no upper-case piece
    tokenizer.save(tmp_path / "again")
    assert PieceTokenizer.load(tmp_path / "again").encode("Ab").ids.tolist() == [7, 8]


def test_what_is_not_a_bert_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="neither"):
        PieceTokenizer.load(tmp_path)
    (tmp_path / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(CheckpointError, match=r"lacks \[PAD\], \[UNK\]"):
        PieceTokenizer.load(tmp_path)
    (tmp_path / "vocab.txt").write_bytes(b"a\n\xff\n")
    with pytest.raises(CheckpointError, match="not UTF-8: byte 2"):
        PieceTokenizer.load(tmp_path)
    Tokenizer(models.BPE()).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="BPE"):
        PieceTokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read"):
        PieceTokenizer.load(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="not a JSON object"):
        PieceTokenizer.load(tmp_path)


def test_a_hub_name_without_a_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"'someone/no-such-model' .* bring the folder .* give its path"):
        PieceTokenizer.load("someone/no-such-model")


def test_one_endless_word_does_not_hold_up_the_vocabulary() -> None:
    texts = ["a word and another word " * 20 + "acgt" * 50_000]
    assert PieceTokenizer.train(texts, vocab_size=60).vocab_size > 20
