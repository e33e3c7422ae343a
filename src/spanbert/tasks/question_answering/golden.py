"""A few inputs from the sample corpus whose predictions are stored with a model."""

from __future__ import annotations

from collections.abc import Sequence

from spanbert.tasks.question_answering.examples import Answer, QuestionExample

_QUESTIONS = 2


def golden_questions() -> Sequence[QuestionExample]:
    """Two questions each about the first paragraphs of an English and a Chinese document."""
    from spanbert.sample_corpus import sample_documents

    examples: list[QuestionExample] = []
    for language in ("en", "zh"):
        document, paragraph = next(
            (one, first)
            for one in sample_documents(language)
            for first in [one.text.partition("\n")[0]]
            if any(answer.end <= len(first) for answer in one.questions[0].answers)
        )
        for question in document.questions[:_QUESTIONS]:
            answers = [one for one in question.answers if one.end <= len(paragraph)]
            examples.append(
                QuestionExample(
                    id=f"{document.name}-{len(examples)}",
                    question=question.question,
                    contexts=(paragraph,),
                    answers=tuple(Answer(text=one.text, start=one.start, end=one.end) for one in answers),
                    title=document.title,
                )
            )
    return examples
