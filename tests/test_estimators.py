"""The scikit-learn estimators, on a tiny encoder: scikit-learn's own contract, and what each reads and answers."""

# ruff: noqa: E402  # without scikit-learn there is nothing to import: the module is skipped before
from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")

from scipy.sparse import csr_matrix
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

from spanbert.errors import ConfigurationError, InputError
from spanbert.estimators.base import TaskEstimator
from spanbert.estimators.spans import EntityRecognizer, QuestionAnswerer, RelationClassifier
from spanbert.estimators.texts import MultiLabelTextClassifier, TextClassifier, TextRegressor
from spanbert.finetuning.training import FinetuneResult, finetune_examples
from spanbert.loading import load

GOOD = [f"a wonderful film and {word}" for word in ("bright", "warm", "funny", "deep", "alive", "true", "new", "old")]
BAD = [f"a terrible mess and {word}" for word in ("dark", "cold", "boring", "flat", "dead", "false", "new", "old")]
TEXTS = [*GOOD, *BAD]
LABELS = ["good"] * len(GOOD) + ["bad"] * len(BAD)
ESTIMATORS = (
    TextClassifier,
    MultiLabelTextClassifier,
    TextRegressor,
    EntityRecognizer,
    QuestionAnswerer,
    RelationClassifier,
)

Make = Callable[..., Any]


@pytest.fixture
def make(encoder_folder: Path) -> Make:
    """A function that makes an estimator of any class that learns in less than a second."""

    def estimator(kind: type[TaskEstimator], **parameters: Any) -> Any:
        defaults = {"epochs": 1, "max_length": 64, "dev_share": 0.0, "device": "cpu", "precision": "fp32"}
        options = {"stride": 16, **parameters.pop("options", {})}
        return kind(encoder_folder, **{**defaults, **parameters}, options=options)

    return estimator


@pytest.fixture
def learner(make: Make) -> Any:
    """A classifier that learns the two words that matter."""
    return make(TextClassifier, epochs=20, learning_rate=1e-2, batch_size=8)


def test_a_classifier_learns_predicts_and_scores(learner: Any) -> None:
    fitted = learner.fit(TEXTS, LABELS)
    assert fitted is learner
    assert learner.classes_.tolist() == ["bad", "good"]
    predicted = learner.predict(["a wonderful film", "a terrible mess"])
    assert predicted.tolist() == ["good", "bad"]
    probabilities = learner.predict_proba(TEXTS)
    assert probabilities.shape == (16, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert (learner.classes_[probabilities.argmax(1)] == learner.predict(TEXTS)).all()
    assert learner.score(TEXTS, LABELS) == 1.0
    assert learner.score(TEXTS, LABELS[::-1]) == 0.0


def test_labels_of_any_kind_come_back_as_they_were(make: Make) -> None:
    for labels in ([1, 0] * 8, [True, False] * 8, np.array([10, 9] * 8)):
        estimator = make(TextClassifier).fit(TEXTS, labels)
        predicted = estimator.predict(TEXTS)
        assert predicted.dtype == np.asarray(labels).dtype
        assert set(predicted.tolist()) <= set(np.asarray(labels).tolist())
        assert estimator.score(TEXTS, labels) == (predicted == labels).mean()


def test_fitting_twice_gives_the_same_model(make: Make) -> None:
    estimator = make(TextClassifier, dev_share=0.25)
    first = estimator.fit(TEXTS, LABELS).predict_proba(TEXTS)
    np.testing.assert_array_equal(estimator.fit(TEXTS, LABELS).predict_proba(TEXTS), first)
    assert (clone(estimator).set_params(seed=1).fit(TEXTS, LABELS).predict_proba(TEXTS) != first).any()


def test_a_dev_set_is_split_off_or_given(make: Make) -> None:
    estimator = make(TextClassifier, dev_share=0.25).fit(TEXTS, LABELS)
    assert estimator.record_["examples"] == {"train": 12, "dev": 4}
    assert "accuracy" in estimator.metrics_
    estimator = make(TextClassifier).fit(TEXTS, LABELS, dev=(TEXTS[:6], LABELS[:6]))
    assert estimator.record_["examples"] == {"train": 16, "dev": 6}
    assert make(TextClassifier).fit(TEXTS, LABELS).metrics_ == {}


def test_no_dev_set_learns_nothing_but_weights_from_the_training_data(make: Make) -> None:
    settings = make(MultiLabelTextClassifier).fit(TEXTS, [[label] for label in LABELS]).predictor_.task.settings
    assert (settings.temperature, settings.thresholds) == (1.0, ())


def test_the_forms_of_texts_mean_the_same(make: Make) -> None:
    estimator = make(TextClassifier).fit(pd.Series(TEXTS), pd.Series(LABELS))
    expected = estimator.predict_proba(TEXTS)
    frame = pd.DataFrame({"other": 1, "text": TEXTS})
    column = np.array(TEXTS, dtype=object).reshape(-1, 1)
    for same in (tuple(TEXTS), np.array(TEXTS), frame, pd.DataFrame({"review": TEXTS}), column):
        np.testing.assert_array_equal(estimator.predict_proba(same), expected)


def test_pairs_are_read_from_lists_and_frames(make: Make) -> None:
    pairs = [(text, "is it good?") for text in TEXTS]
    estimator = make(TextClassifier).fit(pairs, LABELS)
    expected = estimator.predict_proba(pairs)
    frame = pd.DataFrame({"pair": "is it good?", "text": TEXTS})
    np.testing.assert_array_equal(estimator.predict_proba(frame), expected)
    np.testing.assert_array_equal(estimator.predict_proba(np.array(pairs)), expected)
    assert (estimator.predict_proba(TEXTS) != expected).any()
    frame["pair"] = None
    np.testing.assert_array_equal(estimator.predict_proba(frame), estimator.predict_proba(TEXTS))


def test_several_labels(make: Make) -> None:
    targets: list[Any] = [["film", "good"]] * 8 + [("mess",)] * 7 + [set()]
    estimator = make(MultiLabelTextClassifier, epochs=20, learning_rate=1e-2, batch_size=8).fit(TEXTS, targets)
    assert not is_classifier(estimator)
    assert estimator.classes_.tolist() == ["film", "good", "mess"]
    predicted = estimator.predict(TEXTS[:9])
    assert sorted(predicted[0]) == ["film", "good"]
    assert predicted[8] == ["mess"]
    assert estimator.predict_proba(TEXTS).shape == (16, 3)
    assert 0.9 < estimator.score(TEXTS, targets) < 1  # the text without a label is like those with one
    assert len(cross_val_score(clone(estimator).set_params(epochs=1), TEXTS, targets, cv=2)) == 2


def test_a_matrix_of_labels(make: Make) -> None:
    matrix = np.array([[1, 0, 0]] * 8 + [[1, 0, 1]] * 8)
    estimator = make(MultiLabelTextClassifier, epochs=20, learning_rate=1e-2, batch_size=8).fit(TEXTS, matrix)
    assert estimator.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(estimator.predict(TEXTS), matrix)
    probabilities = estimator.predict_proba(TEXTS)
    assert probabilities.shape == matrix.shape
    assert not probabilities[:, 1].any(), "no text has this label: it is never predicted"
    assert estimator.score(TEXTS, matrix) == 1
    assert estimator.score(TEXTS, csr_matrix(matrix)) == 1
    frame = pd.DataFrame(matrix.astype(bool), columns=["film", "never", "mess"])
    named = make(MultiLabelTextClassifier).fit(TEXTS, frame)
    assert named.classes_.tolist() == ["film", "never", "mess"]
    assert pickle.loads(pickle.dumps(named)).predict(TEXTS).shape == matrix.shape
    with pytest.raises(InputError, match="0 and 1"):
        make(MultiLabelTextClassifier).fit(TEXTS, matrix * 2)
    with pytest.raises(InputError, match="twice"):
        make(MultiLabelTextClassifier).fit(TEXTS, matrix.tolist())


def test_numbers(make: Make) -> None:
    values = np.array([1.0] * 8 + [-3.0] * 8)
    estimator = make(TextRegressor, epochs=20, learning_rate=1e-2, batch_size=8).fit(TEXTS, values)
    assert is_regressor(estimator)
    assert estimator.predict(TEXTS).dtype == np.float64
    np.testing.assert_allclose(estimator.predict(TEXTS), values, atol=1)
    assert estimator.score(TEXTS, values) > 0.8


# scikit-learn's tools


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_parameters_are_kept_as_they_were_given(kind: type[TaskEstimator]) -> None:
    options = {"freeze_layers": 1}
    parameters = {"model": "some-model", "epochs": 2.5, "learning_rate": 1e-5, "seed": 3, "options": options}
    estimator: Any = kind(**parameters)
    found = estimator.get_params()
    assert all(found[name] is value for name, value in parameters.items())
    copy = clone(estimator)
    assert copy is not estimator
    assert copy.get_params() == found
    assert copy.set_params(learning_rate=2e-5).learning_rate == 2e-5
    assert estimator.learning_rate == 1e-5
    assert repr(estimator).startswith(f"{kind.__name__}(")
    with pytest.raises(ValueError, match="Invalid parameter 'learning_rat'"):
        estimator.set_params(learning_rat=1)
    with pytest.raises(NotFittedError):
        estimator.predict(["a"])


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_get_params_invariance",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_set_params",
        "check_valid_tag_types",
    ],
)
def test_the_checks_of_scikit_learn_that_need_no_numbers_pass(kind: type[TaskEstimator], check: str) -> None:
    # All its other checks fit matrices of numbers, and the estimators read text.
    getattr(estimator_checks, check)(kind.__name__, kind("some-model"))


def test_a_clone_of_a_fitted_estimator_is_not_fitted(make: Make) -> None:
    with pytest.raises(NotFittedError):
        clone(make(TextClassifier).fit(TEXTS, LABELS)).predict(TEXTS)


def test_cross_validation(make: Make) -> None:
    estimator = make(TextClassifier)
    scores = cross_val_score(estimator, TEXTS, LABELS, cv=2, error_score="raise")
    assert scores.shape == (2,)
    assert cross_val_predict(estimator, TEXTS, LABELS, cv=2, method="predict_proba").shape == (16, 2)
    assert not hasattr(estimator, "predictor_")


def test_a_pipeline(learner: Any) -> None:
    pipeline = make_pipeline(FunctionTransformer(lambda texts: [text.removeprefix("<p>") for text in texts]), learner)
    pipeline.fit([f"<p>{text}" for text in TEXTS], LABELS)
    assert pipeline.predict(["<p>a wonderful film"]).tolist() == ["good"]
    assert pipeline.score(TEXTS, LABELS) == 1.0


def test_a_search_over_parameters_finds_the_one_that_learns(learner: Any) -> None:
    search = GridSearchCV(learner, {"learning_rate": [1e-9, 1e-2]}, cv=2, error_score="raise", refit=False)
    search.fit(pd.DataFrame({"text": TEXTS}), LABELS)
    assert search.best_params_ == {"learning_rate": 1e-2}


# Files


def test_a_pickle_predicts_the_same(make: Make) -> None:
    estimator = make(TextClassifier, dev_share=0.25).fit(TEXTS, LABELS)
    copy = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(copy.predict_proba(TEXTS), estimator.predict_proba(TEXTS))
    assert copy.get_params() == estimator.get_params()
    assert (copy.metrics_, copy.classes_.tolist()) == (estimator.metrics_, ["bad", "good"])
    assert pickle.loads(pickle.dumps(make(TextClassifier))).get_params() == make(TextClassifier).get_params()


def test_nothing_stays_in_the_folder_for_temporary_files(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pickle.loads(pickle.dumps(make(TextClassifier, dev_share=0.25).fit(TEXTS, LABELS))).predict(TEXTS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_that_ends_the_training_ends_the_program(
    make: Make, monkeypatch: pytest.MonkeyPatch, number: int, error: type[BaseException]
) -> None:
    def interrupted(*arguments: Any, **keywords: Any) -> FinetuneResult:
        return replace(finetune_examples(*arguments, **keywords), stopped_by=number)

    monkeypatch.setattr("spanbert.estimators.base.finetune_examples", interrupted)
    estimator = make(TextClassifier)
    with pytest.raises(error):
        estimator.fit(TEXTS, LABELS)
    with pytest.raises(NotFittedError):
        estimator.predict(TEXTS)


def test_a_saved_model_opens_as_any_other(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANBERT_CACHE", str(tmp_path / "cache"))
    estimator = make(TextClassifier, dev_share=0.25).fit(TEXTS, LABELS)
    estimator.save(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} >= {"README.md", "golden.json", "model.safetensors"}
    loaded = load(tmp_path / "model", device="cpu", precision="fp32")
    assert [one.label for one in loaded.predict(TEXTS)] == estimator.predict(TEXTS).tolist()
    assert "12 train, 4 dev" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


# Bad input


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        ("a text", ["good"], "X must hold several rows"),
        (["a text"], ["good", "bad"], "X has 1 rows and y 2"),
        (["a", " "], ["good", "bad"], "row 1: .*white space"),
        (["a", 7], ["good", "bad"], 'row 1: "text" must be a string'),
        (["a", None], ["good", "bad"], "row 1"),
        ([("a", "b", "c")], ["good"], "row 0: a row is a text or a pair"),
        (["a", "b"], ["good", "good"], "have the label"),
        (["a", "b"], None, "y is missing"),
    ],
)
def test_bad_rows_are_named(make: Make, texts: Any, labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(TextClassifier).fit(texts, labels)


def test_a_frame_without_texts_says_what_it_has(make: Make) -> None:
    with pytest.raises(InputError, match="no column \"text\", only 'review', 'stars'"):
        make(TextClassifier).fit(pd.DataFrame({"review": TEXTS, "stars": 1}), LABELS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lora_rnk": 8}, "no 'lora_rnk': did you mean 'lora_rank'"),
        ({"epochs": 2}, "'epochs' is a parameter of its own"),
        ({"kind": "regression"}, "there is no 'kind'"),
        ({"output": "x"}, "there is no 'output'"),
        ({"weight_decay": "0.1"}, "TextClassifier: weight_decay cannot be '0.1', a value of type str"),
        ({"stride": "64"}, "TextClassifier: stride cannot be '64', a value of type str"),
    ],
)
def test_options_are_checked(make: Make, options: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make(TextClassifier, options=options).fit(TEXTS, LABELS)


def test_options_reach_the_task_and_the_loop(make: Make) -> None:
    estimator = make(TextClassifier, options={"windows": "max", "freeze_layers": 1}).fit(TEXTS, LABELS)
    assert estimator.predictor_.task.settings.windows == "max"
    assert estimator.record_["config"]["freeze_layers"] == 1


# Entities


def test_entities_of_texts(make: Make) -> None:
    texts = [f"{name} went home" for name in ("Ada", "Ben", "Eve", "Kim")] * 4
    entities = [[(0, 3, "PER")]] * 16
    estimator = make(EntityRecognizer, epochs=20, learning_rate=1e-2, batch_size=8).fit(texts, entities)
    assert not is_classifier(estimator)
    assert estimator.predict(texts)[0] == [(0, 3, "PER")]
    assert estimator.score(texts, entities) == 1.0
    assert estimator.score(texts, [[]] * 16) == 0.0
    assert estimator.predictions(texts[:1])[0].entities[0].text == texts[0][:3]
    assert cross_val_predict(clone(estimator).set_params(epochs=1), texts, entities, cv=2).shape == (16,)


def test_entities_of_words_are_tags(make: Make) -> None:
    sentences = [["We", "met", name, "Smith", "."] for name in ("Ada", "Ben", "Eve", "Kim")] * 4
    tags = [["O", "O", "B-PER", "I-PER", "O"]] * 16
    estimator = make(EntityRecognizer, epochs=20, learning_rate=1e-2, batch_size=8).fit(sentences, tags)
    assert estimator.predict(sentences)[0] == tags[0]
    assert estimator.score(sentences, tags) == 1.0
    with pytest.raises(InputError, match="row 0: 5 words need as many tags"):
        estimator.score(sentences, [["O"]] * 16)


def test_words_that_are_chinese_characters(make: Make) -> None:
    sentences = [list("我爱北京"), list("他去上海")] * 4
    tags = [["O", "O", "B-LOC", "I-LOC"]] * 8
    estimator = make(EntityRecognizer).fit(sentences, tags)
    assert estimator.by_character_
    assert all(len(predicted) == 4 for predicted in estimator.predict(sentences))


# Questions

CONTEXT = "The bridge was built in 1932. It is made of steel."


def test_questions_with_and_without_answers(make: Make) -> None:
    rows = [("When was it built?", CONTEXT), ("What is it made of?", CONTEXT), ("Who paid for it?", CONTEXT)]
    answers: list[Any] = ["1932", {"text": "steel", "answer_start": 44}, None]
    estimator = make(QuestionAnswerer).fit(rows * 2, answers * 2)
    predicted = estimator.predict(rows)
    assert all(answer is None or answer in CONTEXT for answer in predicted)
    assert 0 <= estimator.score(rows, answers) <= 1
    frame = pd.DataFrame(rows, columns=["question", "context"])
    assert estimator.predict(frame).tolist() == predicted.tolist()
    only = [[answer] if answer is not None else [] for answer in predicted]
    assert estimator.score(frame, only) == 1.0
    assert estimator.score(rows, pd.Series(list(predicted))) == 1.0


def test_an_answer_that_is_not_in_the_context_is_told(make: Make) -> None:
    rows = [("When was it built?", CONTEXT), ("What is it made of?", CONTEXT)]
    with pytest.warns(UserWarning, match="1 answers do not stand in their contexts.*row 1"):
        make(QuestionAnswerer).fit(rows, ["1932", "wood"])


# Relations


def test_relations_of_pairs(make: Make) -> None:
    rows = [
        {
            "text": f"{name} works for Acme",
            "head": {"start": 0, "end": 3, "type": "PER"},
            "tail": {"start": 14, "end": 18},
        }
        for name in ("Ada", "Ben", "Eve", "Kim")
    ]
    labels = ["employer", "no_relation"] * 2
    estimator = make(RelationClassifier).fit(rows * 2, labels * 2)
    assert is_classifier(estimator)
    assert estimator.classes_.tolist() == ["employer", "no_relation"]
    predicted = estimator.predict(rows)
    assert set(predicted) <= set(labels)
    assert 0 <= estimator.score(rows, labels) <= 1
    assert estimator.predict(pd.DataFrame(rows)).tolist() == predicted.tolist()
    with pytest.raises(InputError, match="row 0: a row is one pair"):
        estimator.predict([{"text": "a", "entities": []}])


def test_without_scikit_learn_the_message_says_what_to_install() -> None:
    code = """
import sys
sys.modules["sklearn"] = None
import spanbert.errors
try:
    import spanbert.estimators
except spanbert.errors.MissingDependencyError as error:
    print(error)
"""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout == "an estimator needs the package 'scikit-learn': pip install 'spanbert[sklearn]'\n"
