"""`spanbert predict --format text`: each question, its answer between the words around it, and other answers."""

from __future__ import annotations

from rich.text import Text

from spanbert.prediction_stream import Answer
from spanbert.tasks.question_answering.examples import PredictedAnswer, QuestionExample, QuestionPrediction
from spanbert.text_answers import TextWriter, around, heading, one_line, percent, shortened, stretch
from spanbert.visible_text import for_terminal

_STYLE = "bold green"
_NO_ANSWER = "no answer"


class TextAnswers(TextWriter[QuestionExample, QuestionPrediction]):
    """A block for each question: the answer that counts, or that there is none; where it stands; what else it may be.

    Behind the answer stand its offsets (code points, end exclusive), its probability, and which of several documents
    it is in, counted from 1.
    """

    def block(self, answer: Answer[QuestionExample, QuestionPrediction]) -> Text:
        """The lines of a question."""
        example, prediction = answer.example, answer.prediction
        lines = heading(example.id).append(for_terminal(one_line(example.question)) + "\n")
        others = [(one.probability, for_terminal(shortened(one.text))) for one in prediction.answers]
        left_open = prediction.no_answer_probability
        if prediction.text and prediction.answers:
            lines.append_text(_answer(example, prediction.answers[0]))
            del others[0]
            if left_open is not None:
                others.append((left_open, _NO_ANSWER))
        else:
            lines.append("  ").append(_NO_ANSWER, "bold")
            lines.append("\n" if left_open is None else f" {percent(left_open)}\n", "dim")
        if others:
            others.sort(key=lambda other: -other[0])
            said = ", ".join(f"{text} {percent(probability)}" for probability, text in others)
            lines.append(f"  others: {said}\n", "dim")
        if prediction.question_pieces_cut:
            cut = f"  the question is too long: its last {prediction.question_pieces_cut:,} word pieces were not read\n"
            lines.append(cut, "yellow")
        return lines


def _answer(example: QuestionExample, best: PredictedAnswer) -> Text:
    """Two lines: the answer, and the words around it."""
    context = example.contexts[best.document]
    lines = Text("  ").append_text(stretch(context, best.start, best.end, _STYLE))
    lines.append(f" {percent(best.probability)}", "dim")
    if len(example.contexts) > 1:
        lines.append(f", document {best.document + 1:,} of {len(example.contexts):,}", "dim")
    before, after = around(context, best.start, best.end, num_words=8, most=40)
    lines.append(f"\n  {for_terminal(before)}[")
    lines.append(for_terminal(one_line(context[best.start : best.end])), _STYLE)
    return lines.append(f"]{for_terminal(after)}\n")
