"""`spanbert predict --format text`: the text with its entities marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.text import Text

from spanbert.prediction_stream import Answer
from spanbert.tasks.ner.examples import EntityExample, EntityPrediction, PredictedEntity
from spanbert.text_answers import TextWriter, heading, percent, shortened, stretch
from spanbert.visible_text import for_terminal


class TextAnswers(TextWriter[EntityExample, EntityPrediction]):
    """A block for each text: its counts, and its lines with every entity in brackets, its label and
    probability before the closing one.

    Where entities nest, so do the brackets. One that crosses another (a span head may find such) is named below.
    """

    def block(self, answer: Answer[EntityExample, EntityPrediction]) -> Text:
        """The lines of a text."""
        text = answer.example.text
        marked, crossing = self._marked(text, answer.prediction.entities)
        lines = heading(answer.example.id).append(f"{_summary(answer.prediction.entities)}\n")
        marked.rstrip()
        for line in marked.split("\n") if marked else ():
            line.rstrip()
            lines.append("  " if line else "").append_text(line).append("\n")
        for entity in crossing:
            lines.append("  crossing: ", "dim").append_text(stretch(text, entity.start, entity.end))
            lines.append_text(self._label(entity)).append("\n")
        return lines

    def _marked(self, text: str, entities: Sequence[PredictedEntity]) -> tuple[Text, list[PredictedEntity]]:
        """The text with marks, and the entities that could not be marked."""
        shown = for_terminal(text.replace("\r\n", " \n").replace("\r", "\n"))  # of the same length
        marked = Text()
        crossing: list[PredictedEntity] = []
        inside: list[PredictedEntity] = []
        place = 0

        def go_on(to: int) -> None:
            nonlocal place
            marked.append(shown[place:to], self.style_of(inside[-1].label) if inside else "")
            place = to

        def leave(before: int) -> None:
            while inside and inside[-1].end <= before:
                go_on(inside[-1].end)
                entity = inside.pop()
                marked.append_text(self._label(entity)).append("]", self.style_of(entity.label))

        for entity in entities:
            leave(entity.start)
            if inside and entity.end > inside[-1].end:
                crossing.append(entity)
                continue
            go_on(entity.start)
            marked.append("[", self.style_of(entity.label))
            inside.append(entity)
        leave(len(text))
        go_on(len(text))
        return marked, crossing

    def _label(self, entity: PredictedEntity) -> Text:
        label = Text().append(" ").append(for_terminal(shortened(entity.label)), f"bold {self.style_of(entity.label)}")
        return label if entity.probability is None else label.append(f" {percent(entity.probability)}", "dim")


def _summary(entities: Sequence[PredictedEntity]) -> str:
    if not entities:
        return "no entities"
    number = "1 entity" if len(entities) == 1 else f"{len(entities):,} entities"
    labels = Counter(for_terminal(shortened(entity.label)) for entity in entities)
    return f"{number}: " + ", ".join(f"{count:,} {label}" for label, count in labels.most_common())
