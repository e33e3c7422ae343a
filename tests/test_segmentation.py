import sys
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spanbert.documents import Annotation
from spanbert.errors import ConfigurationError, MissingDependencyError
from spanbert.segmentation import Segmenter, get_segmenter, spacy_annotations


@pytest.fixture(scope="module")
def jieba() -> Segmenter:
    segmenter = get_segmenter("jieba")
    assert segmenter is not None
    return segmenter


def test_jieba_finds_the_words_of_a_chinese_sentence(jieba: Segmenter) -> None:
    text = "我们 在北京\u3000学习，COVID-19 很难。"
    assert [text[start:end] for start, end in jieba(text)][:5] == ["我们", "在", "北京", "学习", "，"]


@given(text=st.text(max_size=40) | st.text(alphabet="我们在北京学习中文🙂é9a.%+- \r\n\u3000々〇", max_size=40))
@example(text="\ud800北京\r\n3.14% U.S.A. C++")
@settings(max_examples=100, deadline=None)
def test_jieba_gives_every_visible_character_to_one_word(jieba: Segmenter, text: str) -> None:
    spans = jieba(text)
    ends = [0, *(span.end for span in spans)]
    for end, span in zip(ends, spans, strict=False):
        assert text[end : span.start].strip() == ""
        assert span.start < span.end
        assert end <= span.start
    assert text[ends[-1] :].strip() == ""


def test_jieba_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    segmenter = get_segmenter("jieba")
    assert segmenter is not None
    segmenter("北京")
    assert capfd.readouterr() == ("", "")


def test_no_name_is_no_segmenter_and_an_unknown_one_an_error() -> None:
    assert get_segmenter(None) is None
    with pytest.raises(ConfigurationError, match="'mecab'; there is 'jieba'"):
        get_segmenter("mecab")


def test_missing_packages_are_named_with_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(MissingDependencyError, match=r"spanbert\[chinese\]"):
        get_segmenter("jieba")
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(MissingDependencyError, match=r"spanbert\[spacy\]"):
        spacy_annotations("en_core_web_sm")


class FakePipeline:
    """What is used of spaCy's pipelines and documents, so that the test runs without spaCy."""

    def __init__(self, *, has_parser: bool) -> None:
        self.has_parser = has_parser

    def __call__(self, text: str) -> SimpleNamespace:
        parsed = SimpleNamespace(
            ents=[SimpleNamespace(start_char=4, end_char=9)], has_annotation=lambda name: self.has_parser
        )
        if self.has_parser:
            parsed.noun_chunks = [SimpleNamespace(start_char=0, end_char=9)]
        return parsed


@pytest.mark.parametrize("has_parser", [True, False])
def test_spacy_gives_entities_and_noun_phrases(monkeypatch: pytest.MonkeyPatch, has_parser: bool) -> None:
    spacy = ModuleType("spacy")
    spacy.load = lambda name: FakePipeline(has_parser=has_parser)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spacy", spacy)
    phrases = [Annotation(0, 9, "noun-phrase")] if has_parser else []
    assert spacy_annotations("fake")("The Aldra is long.") == [*phrases, Annotation(4, 9, "entity")]


def test_a_missing_spacy_pipeline_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> None:
        raise OSError(f"[E050] Can't find model '{name}'")

    spacy = ModuleType("spacy")
    spacy.load = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spacy", spacy)
    with pytest.raises(ConfigurationError, match="python -m spacy download xx_none"):
        spacy_annotations("xx_none")
