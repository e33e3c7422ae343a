"""`spanbert predict --format text`: a line for each text."""

from __future__ import annotations

from rich.text import Text

from spanbert.prediction_stream import Answer
from spanbert.tasks.classification.examples import ClassificationExample, ClassificationPrediction, show_answer
from spanbert.text_answers import TextWriter, heading, percent, shortened
from spanbert.visible_text import for_terminal


class TextAnswers(TextWriter[ClassificationExample, ClassificationPrediction]):
    """A line for each text: its labels with their probabilities, or its number, and how the text begins."""

    between = ""

    def block(self, answer: Answer[ClassificationExample, ClassificationPrediction]) -> Text:
        """The line of a text."""
        example, prediction = answer.example, answer.prediction
        line = heading(example.id)
        if isinstance(prediction.label, float) or not prediction.label:
            line.append(show_answer(prediction.label), "bold")
        else:
            labels = (prediction.label,) if isinstance(prediction.label, str) else prediction.label
            line.append_text(Text(", ").join(self._label(label, prediction) for label in labels))
        texts = [shortened(text) for text in (example.text, example.pair) if text is not None]
        return line.append(f"  {for_terminal(' | '.join(texts))}\n", "dim")

    def _label(self, label: str, prediction: ClassificationPrediction) -> Text:
        shown = Text().append(for_terminal(shortened(label)), f"bold {self.style_of(label)}")
        probability = dict(prediction.probabilities).get(label)
        return shown if probability is None else shown.append(f" {percent(probability)}", "dim")
