from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.errors import InputError
from spanbert.spans import Span
from spanbert.tasks.coreference.examples import CoreferencePrediction, PredictedMention
from spanbert.tasks.coreference.task import CoreferenceResolution


def predicted(marked: str) -> CoreferencePrediction:
    """A prediction from a text with mentions such as [1:Ada], which may nest."""
    text = ""
    clusters: dict[str, list[tuple[int, int]]] = {}
    begun: list[tuple[str, int]] = []
    for part in re.split(r"(\[\d+:|\])", marked):
        if part == "]":
            number, start = begun.pop()
            clusters.setdefault(number, []).append((start, len(text)))
        elif re.fullmatch(r"\[\d+:", part):
            begun.append((part[1:-1], len(text)))
        else:
            text += part
    mentions = [[PredictedMention(*span, text[slice(*span)]) for span in sorted(spans)] for spans in clusters.values()]
    return CoreferencePrediction("d", tuple(map(tuple, mentions)), text)


@pytest.mark.parametrize(
    ("marked", "resolved"),
    [
        ("[1:Ada] sang. [1:She] smiled, and [1:her] son saw [1:her].", "Ada sang. Ada smiled, and Ada's son saw Ada."),
        ("[1:Ada] left. I told [1:her] that [2:[1:her] son] is ill.", "Ada left. I told Ada that Ada's son is ill."),
        ("[1:The old mill] closed. When [1:it] burnt,", "The old mill closed. When the old mill burnt,"),
        ("he saw [1:the mill]. [1:It] was [1:its] end", "he saw the mill. The mill was the mill's end"),
        ("[1:The Hague] lies there; we left [1:it].", "The Hague lies there; we left the Hague."),
        ("in [1:The Hague] we liked [1:it]; [2:iPod]. [2:It]", "in The Hague we liked The Hague; iPod. iPod"),
        ("[1:the twins] and [1:their] mother’s son", "the twins and the twins’ mother’s son"),
        ("[1:Anna's] book: [1:she] wrote it.", "Anna's book: Anna wrote it."),
        ("[1:I] came. [1:My] book and [2:it] and [2:its] end", "I came. My book and it and its end"),
        ("[1:Ada] [1:herself] hurt [1:herself].", "Ada herself hurt Ada."),
        ("[1:Ada\n  King] came; [1:she] left.", "Ada\n  King came; Ada King left."),
        # Names that hold pronouns
        ("[1:Paul] and [2:[1:his] mother]: [2:She] saw [1:him].", "Paul and Paul's mother: Paul's mother saw Paul."),
        ("[1:the man who lost [1:his] hat]: [1:he]", "the man who lost his hat: the man who lost his hat"),
        ("[1:[2:his] wife] met [2:[1:her] man].", "his wife's man's wife met her man's wife's man."),
        # Chinese
        ("[1:小明]说[1:他]的书在[1:他的]家，[2:我]走了。", "小明说小明的书在小明的家，我走了。"),
        ("[1:王家的]人：[1:他们]来了，[2:它]没来", "王家的人：王家来了，它没来"),
        ("[1:US] law, and [1:its] text; let [2:us] go", "US law, and US's text; let us go"),
    ],
)  # fmt: skip
def test_names_stand_for_pronouns(marked: str, resolved: str) -> None:
    assert predicted(marked).resolved_text() == resolved


def test_names_within_names_come_to_an_end() -> None:
    chain = "".join(f"[{n}:[{n - 1}:her] aunt and [{n - 1}:her] uncle], " for n in range(2, 40))
    assert len(predicted(f"[1:Ada], {chain}[39:she]").resolved_text()) < 30_000


words = st.sampled_from(["Ada", "the mill", "小明", "his mother", "It", "she", "他", "herself", "\r\n", "👩‍🚀", "we"])


@settings(max_examples=150, deadline=None)
@given(parts=st.lists(words, max_size=12), data=st.data())
def test_nothing_but_pronouns_is_touched_however_mentions_lie(parts: list[str], data: st.DataObject) -> None:
    text = " ".join(parts)
    places = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))
    spans = data.draw(st.lists(st.lists(places.filter(lambda ends: ends[0] < ends[1]), min_size=1)))
    clusters = [tuple(PredictedMention(*span, text[slice(*span)]) for span in sorted(cluster)) for cluster in spans]
    resolved = CoreferencePrediction("d", tuple(clusters), text).resolved_text()
    pronouns = {"it", "she", "he", "her", "hers", "herself", "his", "him", "the", "them", "they", "their", "他"}
    replaced = [mention.span for cluster in clusters for mention in cluster if mention.text.lower() in pronouns]
    if not replaced:
        assert resolved == text
    rest = [" " if any(Span(*s).start <= i < s.end for s in replaced) else c for i, c in enumerate(text)]
    characters = iter(resolved)
    assert all(character in characters for character in "".join(rest).replace(" ", ""))


def test_a_prediction_without_its_text_says_so() -> None:
    prediction = predicted("[1:Ada] and [1:she]")
    read = CoreferenceResolution.prediction(prediction.to_json())
    with pytest.raises(InputError, match=r"'d' was read from a file .* dataclasses\.replace"):
        read.resolved_text()
    with pytest.raises(InputError, match=r"about another text: there is no 8\.\.11 in one of 3 characters"):
        CoreferencePrediction("d", prediction.clusters, "Ada").resolved_text()
