"""Fine-tuning as scikit-learn estimators: fit, predict and score on lists, arrays and DataFrames."""

from spanbert.errors import MissingDependencyError

try:
    import sklearn  # noqa: F401  # here, because this runs before any module of the package
except ModuleNotFoundError as error:
    if error.name != "sklearn":
        raise
    raise MissingDependencyError("scikit-learn", "sklearn", "an estimator") from error
