"""Optuna's studies in PostgreSQL, and the locks on their trials.

A process that runs a trial holds a lock on it, by a connection of its own that ends with the
process. A trial that is marked as running without a lock was abandoned.

This module writes Optuna's own tables, and Optuna reads them. Optuna's methods take some twenty
statements to begin and finish a trial, and fifteen to add one.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine, Float, Integer, String, column, func, insert, select, table, text

from tradewind.errors import SweepError
from tradewind.foreign import ForeignNames
from tradewind.postgres import KEEPALIVE, Locks, database_errors, open_engine

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

__all__ = ["FOREIGN", "Claim", "Study", "find_study", "plan_study", "refuse_another"]

_MODELS: Final = "optuna.storages._rdb.models"

FOREIGN: Final = (
    ForeignNames(
        "optuna",
        (
            *(f"{_MODELS}:StudyModel.{name}" for name in ("study_id", "study_name")),
            *(
                f"{_MODELS}:TrialModel.{name}"
                for name in (
                    "datetime_complete", "datetime_start", "number", "state", "study_id",
                    "trial_id",
                )
            ),
            *(
                f"{_MODELS}:TrialParamModel.{name}"
                for name in ("distribution_json", "param_name", "param_value", "trial_id")
            ),
            *(
                f"{_MODELS}:TrialValueModel.{name}"
                for name in ("objective", "trial_id", "value", "value_type")
            ),
            "optuna.storages:RDBStorage.engine",
            "optuna.storages:RDBStorage.remove_session",
        ),
        "begin and finish a trial, and add one, by a statement each",
        "no sweep can be planned or run",
    ),
)  # fmt: skip

_IDENTITY: Final = "tradewind"
_ASKED_BY: Final = "tradewind.asked_by"
_TRIALS: Final = table(
    "trials",
    column("trial_id", Integer),
    column("number", Integer),
    column("study_id", Integer),
    column("state", String),
)
_PARAMETERS: Final = table(
    "trial_params",
    column("trial_id", Integer),
    column("param_name", String),
    column("param_value", Float(53)),
    column("distribution_json", String),
)
_BEGIN: Final = text("""
    UPDATE trials SET state = 'RUNNING', datetime_start = now() AT TIME ZONE 'UTC'
    FROM (SELECT trial_id, state FROM trials WHERE trial_id = :trial_id FOR UPDATE) AS before
    WHERE trials.trial_id = before.trial_id AND before.state IN ('WAITING', 'RUNNING')
    RETURNING before.state
""")
_FINISH: Final = text("""
    WITH finished AS (
        UPDATE trials SET state = :state, datetime_complete = now() AT TIME ZONE 'UTC'
        WHERE trial_id = :trial_id AND state = 'RUNNING' RETURNING trial_id
    ), valued AS (
        INSERT INTO trial_values (trial_id, objective, value, value_type)
        SELECT trial_id, 0, CAST(:value AS double precision), 'FINITE' FROM finished
        WHERE CAST(:value AS double precision) IS NOT NULL
    )
    SELECT count(*) FROM finished
""")
_SAME: Final = text("UPDATE studies SET study_name = study_name WHERE study_id = :study_id")


@dataclass(frozen=True)
class Claim:
    """A trial that only this process may run, until it releases the lock.

    Attributes
    ----------
    number : int
    parameters : dict
    begun_before : bool
        Whether it was begun before, and not ended.
    trial_id : int
        Optuna's own id in its tables.
    """

    number: int
    parameters: dict[str, Any]
    begun_before: bool
    trial_id: int


@dataclass(frozen=True)
class Study:
    """A study whose trials all exist from the beginning.

    Attributes
    ----------
    name : str
    identity : dict of str to str
        What it was planned for.
    """

    name: str
    identity: dict[str, str]
    _id: int
    _storage: "RDBStorage"
    _locks: Locks

    def trials(self) -> "list[FrozenTrial]":
        """Return all trials by number."""
        trials = self._storage.get_all_trials(self._id, deepcopy=False)
        return sorted(trials, key=lambda trial: trial.number)

    def unfinished(self) -> "dict[int, FrozenTrial]":
        """Return by number the trials that wait or are running, or were left running."""
        return {trial.number: trial for trial in self.trials() if not trial.state.is_finished()}

    @contextmanager
    def claimed(self, trial: "FrozenTrial") -> Iterator[Claim | None]:
        """Claim a trial; yield None if another process runs it, or has run it meanwhile."""
        number = trial.number
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        with self._locks.tried(f"{self.name} {number}") as mine:
            before = self._locks.run(_BEGIN, trial_id=trial_id).scalar() if mine else None
            if before is None:
                yield None
            else:
                yield Claim(number, dict(trial.params), before == "RUNNING", trial_id)

    def finish(self, claim: Claim, value: float | None) -> None:
        """Store that a trial is finished, and its value; None if it failed.

        Raises
        ------
        SweepError
            If it was ended without its lock, such as by Optuna's own `tell`.
        """
        state = "FAIL" if value is None else "COMPLETE"
        ended = self._locks.run(_FINISH, trial_id=claim.trial_id, state=state, value=value)
        if not ended.scalar():
            raise SweepError(
                f"sweep {self.name}: trial {claim.number} was ended by another program while it "
                "ran; leave the sweep's trials to tradewind, and plan it again under another name"
            )

    def settle(self) -> None:
        """Wait until all finished trials are on the disk, for which nothing has waited yet.

        PostgreSQL writes commits in their order, so that it is enough to wait for one more commit.
        """
        with self._storage.engine.begin() as connection:
            connection.execute(_SAME, {"study_id": self._id})


def plan_study(
    storage_url: str,
    name: str,
    identity: dict[str, str],
    *,
    parameters: list[dict[str, Any]],
    distributions: "dict[str, BaseDistribution]",
    asked_by: str | None = None,
) -> str:
    """Make a study and its trials, or continue one, and return its name.

    Parameters
    ----------
    storage_url : str
    name : str
    identity : dict of str to str
        What the study is planned for.
    parameters : list of dict
        One a trial, in their order.
    distributions : dict
        By parameter.
    asked_by : str, optional
        Who asks, such as a run. The same asker finds the same study again. Another asker finds it
        while it is unfinished, as after a failure; once it is finished, another asker gets a new
        study, whose name has a number added. If not given, a finished study is found, too.

    Raises
    ------
    SweepError
        If there is a study of that name for something else.
    LedgerError
        If the database is out of reach or refuses.
    """
    import optuna

    with _opened(storage_url) as (storage, locks), locks.held(name):
        for number in count(1):
            called = name if number == 1 else f"{name}-{number}"
            study = optuna.create_study(
                study_name=called,
                storage=storage,
                direction="maximize",
                load_if_exists=True,
                sampler=optuna.samplers.RandomSampler(),  # never used: trials are planned
            )
            known = study.user_attrs.get(_IDENTITY)
            if known is None:
                study.set_user_attr(_IDENTITY, identity)
            else:
                refuse_another(called, known, identity)
            askers = study.user_attrs.get(_ASKED_BY, [])
            states = [trial.state for trial in study.get_trials(deepcopy=False)]
            finished = len(states) == len(parameters) and all(s.is_finished() for s in states)
            if asked_by is None or asked_by in askers or not finished:
                break
        if asked_by is not None and asked_by not in askers:
            study.set_user_attr(_ASKED_BY, [*askers, asked_by])
        study_id = storage.get_study_id_from_name(called)
        _add_trials(storage.engine, study_id, parameters, distributions)
        return called


def _add_trials(
    engine: Engine,
    study_id: int,
    parameters: Sequence[Mapping[str, Any]],
    distributions: "Mapping[str, BaseDistribution]",
) -> None:
    """Add the trials that the study does not have, as waiting, in one transaction."""
    from optuna.distributions import distribution_to_json

    written = {name: distribution_to_json(each) for name, each in distributions.items()}
    with engine.begin() as connection:
        of_study = select(func.count()).where(_TRIALS.c.study_id == study_id)
        known = connection.execute(of_study).scalar_one()
        new = dict(enumerate(parameters[known:], start=known))
        if not new:
            return
        added = connection.execute(
            insert(_TRIALS).returning(_TRIALS.c.number, _TRIALS.c.trial_id),
            [{"study_id": study_id, "number": number, "state": "WAITING"} for number in new],
        )
        connection.execute(
            insert(_PARAMETERS),
            [
                {
                    "trial_id": trial_id,
                    "param_name": name,
                    "param_value": distributions[name].to_internal_repr(value),
                    "distribution_json": written[name],
                }
                for number, trial_id in added.all()
                for name, value in new[number].items()
            ],
        )


@contextmanager
def find_study(storage_url: str, name: str) -> Iterator[Study]:
    """Open a study that was planned.

    Raises
    ------
    SweepError
        If there is none of that name.
    LedgerError
        If the database is out of reach or refuses, now or later.
    """
    with _opened(storage_url) as (storage, locks):
        try:
            study_id = storage.get_study_id_from_name(name)
        except KeyError:
            raise SweepError(f"there is no sweep {name}; plan it first") from None
        identity = storage.get_study_user_attrs(study_id)[_IDENTITY]
        yield Study(name, identity, study_id, storage, locks)


def refuse_another(name: str, known: dict[str, str], asked: dict[str, str]) -> None:
    """Refuse a study that was planned for another strategy, snapshot or code."""
    if known != asked:
        raise SweepError(
            f"sweep {name} was planned for another strategy file, snapshot or code of features; "
            "plan it under another name, or leave the name to the plan"
        )


@contextmanager
def _opened(storage_url: str) -> "Iterator[tuple[RDBStorage, Locks]]":
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # A trial that a crash of the database loses is run again. After `Study.settle`, which ends a
    # batch, none can be lost.
    engine = open_engine(storage_url, durable=False)
    with database_errors("running a sweep"):
        locks = Locks(engine)
        try:
            with locks.held("tables of Optuna"):  # two that find none would both make them
                storage = optuna.storages.RDBStorage(
                    engine.url.render_as_string(hide_password=False),
                    engine_kwargs={"connect_args": KEEPALIVE},
                )
            try:
                yield storage, locks
            finally:
                storage.remove_session()
                storage.engine.dispose()
        finally:
            locks.close()
            engine.dispose()
