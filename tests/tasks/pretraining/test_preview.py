"""`spanbert preview`: the user's own characters, with what is masked in them."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from spanbert.errors import ConfigurationError, InputError
from spanbert.tasks.pretraining import preview_rendering
from spanbert.tasks.pretraining.masking import Action
from spanbert.tasks.pretraining.preview import PreviewConfig, preview, run
from spanbert.tasks.pretraining.preview_rendering import BlockPreview, SpanPreview, print_blocks, write_html

TEXT = (
    "The ferry to Orkney leaves at nine, and nobody on the quay looks up.\n"
    "Gulls circle; the gangway is wet.   A naïve visitor — straße, façade, 東京 — takes a photograph of the rope.\n"
    "Later the wind turns, the engines settle, and the island draws a thin grey line under the sky."
)
BLOCK = BlockPreview(
    source="a.txt",
    line=3,
    text="one two <three> four\x1b five",
    num_pieces=8,
    budget=3,
    spans=(
        SpanPreview(0, 3, Action.MASK, 1, 1, "[MASK]"),
        SpanPreview(8, 15, Action.RANDOM, 1, 3, "& c"),
        SpanPreview(22, 26, Action.KEEP, 1, 1, "five"),
    ),
)


def shown(block: BlockPreview) -> str:
    return "".join(text for text, _ in block.parts())


def test_the_text_is_shown_as_it_is() -> None:
    blocks = preview(PreviewConfig(text=TEXT, sequence_length=20, num_blocks=100))
    assert len(blocks) > 3
    joined = "".join(map(shown, blocks))
    assert re.sub(r"\s", "", joined) == re.sub(r"\s", "", TEXT)
    assert all(shown(block) == block.text and block.text in TEXT for block in blocks)
    assert "wet.   A naïve" in "\n".join(block.text for block in preview(PreviewConfig(text=TEXT)))


def test_spans_lie_on_words_and_counts_are_those_of_masking() -> None:
    [block] = preview(PreviewConfig(text=TEXT, num_blocks=1, budget=0.3))
    words = {match.span() for match in re.finditer(r"\w+|[^\w\s]", TEXT)}
    starts, ends = {start for start, _ in words}, {end for _, end in words}
    for span in block.spans:
        assert span.start in starts
        assert span.end in ends or "東京" in TEXT[span.start : span.end + 1]  # each ideograph is a word
    assert 0 < sum(span.num_pieces for span in block.spans) <= block.budget == int(0.3 * block.num_pieces)


def test_epoch_and_seed_change_the_masks() -> None:
    first = preview(PreviewConfig(text=TEXT))
    assert preview(PreviewConfig(text=TEXT)) == first
    assert preview(PreviewConfig(text=TEXT, epoch=1)) != first
    assert preview(PreviewConfig(text=TEXT, seed=1)) != first


def test_what_the_encoder_sees() -> None:
    spans = [
        (block.text[span.start : span.end], span)
        for epoch in range(10)
        for block in preview(PreviewConfig(text=TEXT, epoch=epoch, scheme="whole-words"))
        for span in block.spans
    ]
    assert {span.action for _, span in spans} == set(Action)
    for text, span in spans:
        if span.action == Action.MASK:
            assert span.seen == " ".join(["[MASK]"] * span.num_pieces)
        elif span.action == Action.KEEP:
            assert span.seen == text


def test_files_are_read_and_named(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text(f"A first note.\n\n{TEXT}\n", encoding="utf-8")
    blocks = preview(PreviewConfig(inputs=(str(file),), sequence_length=128))
    assert [(block.source, block.line) for block in blocks] == [(str(file), 1), (str(file), 3)]
    assert blocks[0].text == "A first note."


def test_entities_come_from_the_documents(tmp_path: Path) -> None:
    file = tmp_path / "notes.jsonl"
    starts = [TEXT.index(name) for name in ("Orkney", "naïve visitor", "wind turns")]
    spans = [[start, start + length, "entity"] for start, length in zip(starts, (6, 13, 10), strict=True)]
    lines = [{"text": "Nothing here."}, {"text": TEXT, "spans": [*spans, [0, 9, "noun-phrase"]]}]
    file.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    masked = set()
    for epoch in range(20):
        blocks = preview(PreviewConfig(inputs=(str(file),), scheme="entities", epoch=epoch))
        masked |= {block.text[span.start : span.end] for block in blocks for span in block.spans}
    assert {"Orkney", "naïve visitor", "wind turns"} <= masked
    assert {len(words.split()) for words in masked} <= {1, 2}
    assert "The ferry" not in masked


def test_entities_without_annotations_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="none of the kind 'entity'"):
        preview(PreviewConfig(text=TEXT, scheme="entities"))


def test_a_saved_tokenizer_is_used(tmp_path: Path) -> None:
    from spanbert.tokenization import PieceTokenizer

    PieceTokenizer.train([TEXT], vocab_size=150, min_frequency=1).save(tmp_path)
    [coarse] = preview(PreviewConfig(text=TEXT, num_blocks=1, sequence_length=512))
    [fine] = preview(PreviewConfig(text=TEXT, num_blocks=1, sequence_length=512, tokenizer=str(tmp_path)))
    assert fine.num_pieces > coarse.num_pieces
    assert shown(fine) == shown(coarse)


def test_a_segmenter_joins_characters_to_words() -> None:
    pytest.importorskip("jieba")
    text = "北京大学的学生在图书馆里学习自然语言处理。\n" * 20
    config = PreviewConfig(text=text, segmenter="jieba", scheme="whole-words", sequence_length=24, num_blocks=20)
    masked = {block.text[span.start : span.end] for block in preview(config) for span in block.spans}
    assert {"图书馆", "学生", "学习"} & masked
    assert not {"图", "馆", "生", "习"} & masked


def test_plain_text_has_brackets() -> None:
    stream = io.StringIO()
    print_blocks([BLOCK, BLOCK], stream)
    header, text, blank, *_, legend, total = stream.getvalue().splitlines()
    assert header.startswith("a.txt, line 3: masked 5 of 8 pieces (62.5%; budget 3) in 3 spans of 1.0 words on average")
    assert text == "[one] two {<three>} four␛ <five>"
    assert blank == ""
    assert legend.startswith("[span] becomes [MASK], {span} becomes random pieces, <span> is kept")
    assert total.startswith("masked 10 of 16 pieces")


def test_a_terminal_has_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    def terminal(**options: object) -> Console:
        return Console(**options, force_terminal=True, color_system="standard", no_color=False)  # type: ignore[arg-type]

    monkeypatch.setattr(preview_rendering, "Console", terminal)
    stream = io.StringIO()
    print_blocks([BLOCK], stream)
    lines = stream.getvalue().splitlines()
    assert lines[1] == "\x1b[30;42mone\x1b[0m two \x1b[30;43m<three>\x1b[0m four␛ \x1b[30;46mfive\x1b[0m"
    assert "\x1b[30;42mspan\x1b[0m becomes [MASK]," in lines[3]


def test_a_web_page_stands_alone() -> None:
    stream = io.StringIO()
    write_html([BLOCK], stream)
    page = stream.getvalue()
    assert '<mark class=mask title="[MASK]">one</mark> two ' in page
    assert '<mark class=random title="&amp; c">&lt;three&gt;</mark> four␛ <mark class=keep title="five">five' in page
    assert "http" not in page
    assert "<script" not in page


def test_a_character_of_several_pieces_is_shown_once() -> None:
    spans = (SpanPreview(0, 2, Action.MASK, 1, 1, "[MASK]"), SpanPreview(1, 2, Action.KEEP, 0, 1, "##x"))
    block = BlockPreview(source="", line=1, text="ab c", num_pieces=4, budget=2, spans=spans)
    assert shown(block) == "ab c"


def test_run_writes_to_stdout_or_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(PreviewConfig(text=TEXT)) == 0
    plain = capsys.readouterr().out
    assert "[" in plain.splitlines()[1] or "{" in plain.splitlines()[1] or "<" in plain.splitlines()[1]
    file = tmp_path / "page.html"
    assert run(PreviewConfig(text=TEXT, format="html", output=file)) == 0
    assert capsys.readouterr().out == ""
    assert run(PreviewConfig(text=TEXT, format="html")) == 0
    assert capsys.readouterr().out == file.read_text(encoding="utf-8")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        run(PreviewConfig(text=TEXT, output=tmp_path))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"text": "a", "inputs": ("a.txt",)},
        {"text": "a", "sequence_length": 2},
        {"text": "a", "num_blocks": 0},
        {"text": "a", "budget": 2},
        {"text": "a", "preset": "as-released", "scheme": "pieces"},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        PreviewConfig(**options)  # type: ignore[arg-type]


def test_no_text_is_an_error() -> None:
    with pytest.raises(InputError, match="no text"):
        preview(PreviewConfig(text=" \n"))


def test_it_starts_without_torch() -> None:
    program = (
        "import sys, spanbert.tasks.pretraining.preview; sys.exit(bool({'torch', 'transformers'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
