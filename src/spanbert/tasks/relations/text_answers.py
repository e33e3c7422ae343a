"""`spanbert predict --format text`: a line for each relation."""

from __future__ import annotations

from rich.text import Text

from spanbert.prediction_stream import Answer
from spanbert.read_summary import counted
from spanbert.tasks.relations.examples import PredictedRelation, RelationExample, RelationPrediction
from spanbert.text_answers import TextWriter, heading, percent, shortened, stretch
from spanbert.visible_text import for_terminal


class TextAnswers(TextWriter[RelationExample, RelationPrediction]):
    """A block for each text: its counts, and a line `head -> relation -> tail` for each pair that is listed.

    Behind a span stand its offsets (code points, end exclusive), at the end of the line the relation's probability.
    """

    def block(self, answer: Answer[RelationExample, RelationPrediction]) -> Text:
        """The lines of a text."""
        lines = heading(answer.example.id).append(f"{_summary(answer.prediction)}\n")
        for relation in answer.prediction.relations:
            lines.append("  ").append_text(self._line(answer.example.text, relation)).append("\n")
        return lines

    def _line(self, text: str, relation: PredictedRelation) -> Text:
        head, tail = (stretch(text, one.start, one.end) for one in (relation.head, relation.tail))
        style = "dim" if relation.negative else f"bold {self.style_of(relation.label)}"
        head.append(" -> ", "dim").append(for_terminal(shortened(relation.label)), style).append(" -> ", "dim")
        return head.append_text(tail).append(f" {percent(relation.probability)}", "dim")


def _summary(prediction: RelationPrediction) -> str:
    num_relations = sum(not relation.negative for relation in prediction.relations)
    found = counted(num_relations, "relation") if num_relations else "no relation"
    left_out = prediction.num_left_out
    far = f"; {counted(left_out, 'pair')} too far apart to be judged" if left_out else ""
    return f"{found} in {counted(prediction.num_judged, 'pair')}{far}"
