"""Classes of installed packages that a strategy file names, and what may be said of them.

A file writes an estimator as a mapping, ``{class: "sklearn.linear_model:Ridge", parameters: ...}``,
whose parameters may hold further ones. What can be seen in the file alone is checked without any
import; names of parameters, and their values as far as a constructor looks at them, only where the
packages may be imported.
"""

import importlib
import importlib.util
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any, Final

from tradewind.suggestions import did_you_mean

__all__ = [
    "CLASS",
    "PARAMETERS",
    "THREADS",
    "Refusal",
    "build",
    "check_imported",
    "check_written",
    "distributions_of",
    "estimators_in",
    "find_class",
    "group_argument",
    "kind_of",
    "takes_groups",
    "top_of",
]

CLASS, PARAMETERS = "class", "parameters"
_PATTERN: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")

THREADS: Final = frozenset({"n_jobs", "n_threads", "nthread", "num_threads", "thread_count"})
"""What libraries call the number of cores; a file cannot say it."""

_SEEDS: Final = ("random_state", "random_seed")
_GROUPS: Final = ("qid", "group", "group_id")
_DISTRIBUTIONS: Final = {
    "catboost": ("catboost",),
    "lightgbm": ("lightgbm",),
    "sklearn": ("scikit-learn",),
    "xgboost": ("xgboost", "xgboost-cpu"),
}

# Their results do not depend on the number of threads. XGBoost says that its may, since sums are
# added up in another order; of others nobody knows.
_ANY_THREADS: Final = frozenset({"catboost", "lightgbm", "sklearn"})
# It has the parameter, and warns whoever uses it.
_NO_THREADS: Final = frozenset({"LogisticRegression"})

# What a library is told that a file does not say. LightGBM: the same trees on any number of cores;
# it and CatBoost: nothing printed, and no files written.
_UNLESS_SAID: Final[Mapping[str, Mapping[str, Any]]] = {
    "lightgbm": {"deterministic": True, "force_row_wise": True, "verbosity": -1},
    "catboost": {"allow_writing_files": False, "logging_level": "Silent"},
}
_INSTEAD: Final = {
    "force_row_wise": ("force_col_wise",),
    "logging_level": ("verbose", "silent", "verbose_eval"),
    "verbosity": ("verbose",),
}

# Parameters that LightGBM and XGBoost document and take, but do not name in any constructor.
_FURTHER: Final[Mapping[str, frozenset[str]]] = {
    "lightgbm": frozenset({
        "alpha", "bagging_seed", "bin_construct_sample_cnt", "boost_from_average", "cat_l2",
        "cat_smooth", "deterministic", "drop_rate", "drop_seed", "extra_seed",
        "extra_trees", "fair_c", "feature_fraction_bynode", "feature_fraction_seed",
        "force_col_wise", "force_row_wise", "label_gain", "lambdarank_norm",
        "lambdarank_truncation_level", "linear_lambda", "linear_tree", "max_bin",
        "max_bin_by_feature", "max_cat_threshold", "max_cat_to_onehot", "max_delta_step",
        "max_drop", "min_data_in_bin", "min_data_per_group", "monotone_constraints",
        "monotone_constraints_method", "monotone_penalty", "neg_bagging_fraction",
        "num_grad_quant_bins", "other_rate", "path_smooth", "poisson_max_delta_step",
        "pos_bagging_fraction", "quant_train_renew_leaf", "reg_sqrt", "sigmoid",
        "skip_drop", "stochastic_rounding", "top_k", "top_rate", "tweedie_variance_power",
        "uniform_drop", "use_missing", "use_quantized_grad", "verbosity",
        "xgboost_dart_mode", "zero_as_missing",
    }),
    "xgboost": frozenset({
        "feature_selector", "huber_slope", "lambdarank_bias_norm",
        "lambdarank_normalization", "lambdarank_num_pair_per_sample",
        "lambdarank_pair_method", "lambdarank_score_normalization", "lambdarank_unbiased",
        "max_cached_hist_node", "ndcg_exp_gain", "normalize_type", "one_drop",
        "process_type", "quantile_alpha", "rate_drop", "refresh_leaf", "sample_type",
        "skip_drop", "top_k", "tweedie_variance_power", "updater",
    }),
}  # fmt: skip


class Refusal(ValueError):  # noqa: N818 - what is refused is the file
    """What is wrong with an estimator, and where in the model's fields.

    Attributes
    ----------
    field : str
        Such as ``parameters.steps.0.1.class``.
    """

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


Place = tuple[str, ...]


def estimators_in(value: object, at: Place = ()) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Yield each estimator of a value with its place, the outer ones first."""
    if isinstance(value, Mapping):
        if CLASS in value:
            yield at, value
        for name, inner in value.items():
            yield from estimators_in(inner, (*at, str(name)))
    elif isinstance(value, list | tuple):
        for position, inner in enumerate(value):
            yield from estimators_in(inner, (*at, str(position)))


def top_of(name: str) -> str:
    """Return the top package of a class: ``sklearn`` of ``sklearn.linear_model:Ridge``."""
    return re.split(r"[.:]", name, maxsplit=1)[0]


def check_written(model: Mapping[str, Any]) -> None:
    """Refuse what is wrong without a look at any package but whether it is there.

    Parameters
    ----------
    model : mapping
        With ``class`` and ``parameters``.

    Raises
    ------
    Refusal
    """
    for at, number in _infinite(model.get(PARAMETERS, {}), (PARAMETERS,)):
        raise Refusal(".".join(at), f"must be a number, not {number}")
    for at, spec in estimators_in(model):
        if at and (unknown := sorted({*spec} - {CLASS, PARAMETERS})):
            raise Refusal(
                ".".join((*at, unknown[0])),
                f"unknown field of an estimator. Known are: {CLASS}, {PARAMETERS}",
            )
        name = spec[CLASS]
        if not isinstance(name, str) or not _PATTERN.fullmatch(name):
            raise Refusal(
                ".".join((*at, CLASS)),
                f"must be module:Class, such as xgboost:XGBRegressor, not {name!r}",
            )
        if not isinstance(spec.get(PARAMETERS, {}), Mapping):
            raise Refusal(".".join((*at, PARAMETERS)), "must be a mapping of parameters by name")
        if why := _why_no_package(top_of(name)):
            raise Refusal(".".join((*at, CLASS)), why)


def _infinite(value: object, at: Place) -> Iterator[tuple[Place, float]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield at, value
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for name, inner in items:
        yield from _infinite(inner, (*at, str(name)))


def _why_no_package(top: str) -> str:
    if top in sys.stdlib_module_names:
        return f"{top} is part of Python and holds no estimators"
    found = None
    with suppress(ImportError, ValueError):
        found = importlib.util.find_spec(top)
    if found:
        return ""
    where = "where tradewind and its workers run"
    if top in _DISTRIBUTIONS:
        advice = f"`pip install {_DISTRIBUTIONS[top][-1]}` {where}."
    else:
        # No command with a name that may be misspelt: somebody may have published a package for it.
        known = did_you_mean(top, _DISTRIBUTIONS, otherwise="Often used are")
        advice = f"{known} Any other must be installed {where}."
    return (
        f"there is no installed package {top}. {advice} `kind: custom` takes a class in a file "
        "beside the strategy"
    )


def distributions_of(top: str) -> tuple[str, ...]:
    """Return what an installed package is called where it is installed from."""
    for name in _DISTRIBUTIONS.get(top, (top,)):
        with suppress(PackageNotFoundError):
            version(name)
            return (name,)
    # All that are installed are read for this, which takes a second or more.
    return tuple(packages_distributions().get(top, ()))


def check_imported(model: Mapping[str, Any]) -> None:
    """Refuse classes, parameters and values that the packages do not have or do not take.

    Raises
    ------
    Refusal
    """
    for at, spec in estimators_in(model):
        found = find_class(spec[CLASS], field=".".join((*at, CLASS)))
        known = _parameters_of(found)
        for name in spec.get(PARAMETERS, {}):
            field = ".".join((*at, PARAMETERS, name))
            if name in THREADS:
                raise Refusal(
                    field,
                    "leave it out: a task has as many cores as it is given, not as a file says",
                )
            if name not in known:
                shown = [each for each in known if each not in THREADS]
                help_on = did_you_mean(name, shown, otherwise="It has")
                raise Refusal(field, f"{spec[CLASS]} has no such parameter. {help_on}")
    _check_made(model)


def _check_made(model: Mapping[str, Any]) -> None:
    """Make it once, for constructors look at their values, and ask it what it is."""
    made = build(model, seed=0, threads=1)
    name = model[CLASS]
    if not (hasattr(made, "fit") and hasattr(made, "predict")):
        raise Refusal(CLASS, f"{name} is no estimator: it has no fit and predict")
    kind = kind_of(made)
    if kind in {"clusterer", "outlier_detector", "density_estimator"}:
        raise Refusal(CLASS, f"{name} is a {kind.replace('_', ' ')}, which learns from no labels")
    if kind == "classifier" and not hasattr(made, "predict_proba"):
        raise Refusal(
            CLASS, f"{name} has no predict_proba, and the prediction is made of the probability"
        )


def kind_of(made: Any) -> str:  # noqa: ANN401 - any library's
    """Return what scikit-learn calls its type: ``classifier``, ``regressor``; empty if nothing."""
    from sklearn.utils import get_tags

    with suppress(Exception):  # not each library's estimators have tags
        return str(get_tags(made).estimator_type or "")
    return str(getattr(made, "_estimator_type", None) or "")


def find_class(name: str, *, field: str = CLASS) -> type[Any]:
    """Import a class.

    Parameters
    ----------
    name : str
        As ``module:Class``.
    field : str
        Where it is named, for the error.

    Raises
    ------
    Refusal
        If there is none, or it has not what an estimator, or a part of one, must have.
    """
    module, _, attribute = name.partition(":")
    if why := _why_no_package(top_of(name)):
        raise Refusal(field, why)
    try:
        there = importlib.import_module(module)
    except Exception as error:  # a stranger's module may raise anything
        said = " ".join(str(error).split())
        raise Refusal(
            field, f"{module} cannot be imported: {type(error).__name__}: {said}"
        ) from error
    found = getattr(there, attribute, None)
    if found is None:
        named = [each for each in dir(there) if _is_part(getattr(there, each, None))]
        raise Refusal(field, f"{module} has no {attribute}. {did_you_mean(attribute, named)}")
    if not _is_part(found):
        what = "is no estimator: it has no fit" if isinstance(found, type) else "is no class"
        raise Refusal(field, f"{name} {what}")
    return found  # type: ignore[no-any-return] # it is a class: see _is_part


def _is_part(found: object) -> bool:
    """Tell whether an estimator can be made of it: estimators, kernels, ways to split rows."""
    names = ("fit", "get_params", "split")
    return isinstance(found, type) and any(hasattr(found, name) for name in names)


def takes_groups(name: str) -> bool:
    """Tell whether a class learns an order within groups of rows, as rankers do.

    Nothing is imported for that: what is not imported yet is known by its name.
    """
    module, _, attribute = name.partition(":")
    found = getattr(sys.modules.get(module), attribute, None)
    if found is None:
        return attribute.endswith("Ranker")
    return group_argument(found) is not None


def group_argument(made: Any) -> str | None:  # noqa: ANN401 - any library's
    """Return by which argument `fit` is told the groups of its rows; None if it has none."""
    with suppress(ValueError, TypeError):  # a signature that cannot be read
        names = inspect.signature(made.fit).parameters
        return next((each for each in _GROUPS if each in names), None)
    return None


def _parameters_of(found: type[Any]) -> dict[str, Any]:
    """Return the names that a constructor takes, with their defaults."""
    known: dict[str, Any] = {}
    for each in found.__mro__[:-1]:  # without object
        make = vars(each).get("__init__")
        if make is None:
            continue
        more = False
        for parameter in list(inspect.signature(make).parameters.values())[1:]:
            more |= parameter.kind is parameter.VAR_KEYWORD
            if parameter.kind in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
                known.setdefault(parameter.name, parameter.default)
        if not more:
            return known
    further = _FURTHER.get(found.__module__.partition(".")[0], frozenset())
    return {**dict.fromkeys(sorted(further)), **known}


def build(model: Mapping[str, Any], *, seed: int, threads: int, at: Place = ()) -> Any:  # noqa: ANN401
    """Make an estimator with all that are in it.

    The seed goes into every `random_state` that the file leaves unset. Threads go to the innermost
    estimators, and to those alone whose results do not depend on them: threads within threads would
    be more than there are cores.

    Parameters
    ----------
    model : mapping
        With ``class`` and ``parameters``.
    seed, threads : int
    at : tuple of str
        Where it is, for the error.

    Raises
    ------
    Refusal
        If the package refuses.
    """
    found = find_class(model[CLASS], field=".".join((*at, CLASS)))
    known = _parameters_of(found)
    written: Mapping[str, Any] = model.get(PARAMETERS, {})
    inner = any(True for _ in estimators_in(written))
    top = top_of(model[CLASS])

    def made(spec: Mapping[str, Any], place: Place) -> Any:  # noqa: ANN401
        return build(spec, seed=seed, threads=threads, at=(*at, PARAMETERS, *place))

    arguments = {
        name: _as_its_default(_argument(value, made, (name,)), known.get(name))
        for name, value in written.items()
    }
    _seed(arguments, known, seed, splits=hasattr(found, "split"))
    for name in THREADS & known.keys():
        several = top in _ANY_THREADS and not inner and found.__name__ not in _NO_THREADS
        if top != "sklearn" or (several and threads > 1):  # whose default is one
            arguments[name] = threads if several else 1
    for name, value in _UNLESS_SAID.get(top, {}).items():
        if name in known and not {name, *_INSTEAD.get(name, ())} & arguments.keys():
            arguments[name] = value
    try:
        result = found(**arguments)
    except Exception as error:  # a stranger's class may raise anything
        said = " ".join(str(error).split())
        raise Refusal(
            ".".join((*at, PARAMETERS)),
            f"{model[CLASS]} refuses them: {type(error).__name__}: {said}",
        ) from error
    if hasattr(found, "split") and getattr(result, "random_state", 0) is None:
        # A committee would put a generator there that is drawn anew each time.
        result.random_state = seed
    return result


def _seed(arguments: dict[str, Any], known: Mapping[str, Any], seed: int, *, splits: bool) -> None:
    if any(arguments.get(name) is not None for name in _SEEDS):
        return
    if splits and not arguments.get("shuffle"):  # it draws nothing then, and refuses a seed
        return
    for name in _SEEDS:
        if name in known and (known[name] is None or isinstance(known[name], int)):
            arguments[name] = seed
            return


def _argument(value: object, made: Callable[[Mapping[str, Any], Place], Any], at: Place) -> Any:  # noqa: ANN401
    """Return a value of the file as Python has it, with its estimators made."""
    if isinstance(value, Mapping):
        if CLASS in value:
            return made(value, at)
        return {name: _argument(inner, made, (*at, str(name))) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        items = [_argument(inner, made, (*at, str(n))) for n, inner in enumerate(value)]
        # Such as a step of a pipeline: a name with its estimator.
        is_pair = any(isinstance(inner, Mapping) and CLASS in inner for inner in value)
        return tuple(items) if is_pair and isinstance(value[0], str) else items
    return value


def _as_its_default(value: object, default: object) -> object:
    """Return a list as a tuple where the class has one: YAML knows lists alone."""
    return tuple(value) if isinstance(value, list) and isinstance(default, tuple) else value
