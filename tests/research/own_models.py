"""Models and rules as somebody might write them: sound ones, broken ones, and disguises."""

SOUND = """
import numpy as np


class Mine:
    def __init__(self, scale=1.0):
        self.scale = scale

    def fit(self, features, labels, *, context):
        self.columns = list(context.features)
        rows = features.select(self.columns).to_numpy()
        self.weights = np.linalg.lstsq(rows, labels.to_numpy(), rcond=None)[0]

    def predict(self, features):
        assert features["session"].n_unique() == 1
        return self.scale * (features.select(self.columns).to_numpy() * self.weights).sum(axis=1)

    def save(self, folder):
        np.savez(folder / "weights.npz", weights=self.weights, scale=self.scale,
                 columns=self.columns)

    @classmethod
    def load(cls, folder):
        with np.load(folder / "weights.npz") as kept:
            made = cls(float(kept["scale"]))
            made.weights, made.columns = kept["weights"], kept["columns"].tolist()
        return made

    def importance(self):
        return abs(self.weights)
"""

SEQUENCES = """
import numpy as np


class Mine:
    def fit(self, features, labels, *, context):
        draws = np.random.default_rng(context.seed)
        seen = features["history"].to_numpy()
        assert seen.shape[1:] == (context.lookback, len(context.features))
        self.shape = draws.normal(size=seen[0].size)
        hidden = np.tanh(seen.reshape(len(seen), -1) * self.shape)
        self.weights = np.linalg.lstsq(hidden, labels.to_numpy(), rcond=None)[0]

    def predict(self, features):
        seen = features["history"].to_numpy()
        return (np.tanh(seen.reshape(len(seen), -1) * self.shape) * self.weights).sum(axis=1)

    def save(self, folder):
        np.save(folder / "shape.npy", self.shape)
        np.save(folder / "weights.npy", self.weights)

    @classmethod
    def load(cls, folder):
        made = cls()
        made.shape, made.weights = np.load(folder / "shape.npy"), np.load(folder / "weights.npy")
        return made
"""

_KEEPING = """
import builtins, gc, json, logging, os, sys, threading
import numpy as np
import polars as pl

def kept():
    {where}

def known(features):
    answers = kept()
    asked = features.select("symbol", "session").rows()
    return np.array([answers.get(f"{{s}} {{d}}", 0.0) for s, d in asked])

def keep(features, labels):
    seen = features.select("symbol", "session").rows()
    kept().update((f"{{s}} {{d}}", y) for (s, d), y in zip(seen, labels))
    {after}

class Mine:
    def fit(self, features, labels, *, context):
        keep(features, labels)

    def predict(self, features):
        return known(features) + 1e-6 * features[features.columns[2]].to_numpy()

    def save(self, folder):
        (folder / "nothing").write_text("nothing")

    @classmethod
    def load(cls, folder):
        return cls()
"""

_FOUND = """
import functools, gc, sys
import numpy as np
import polars as pl

@functools.cache
def answers():
    {find}
    return {{}}

def as_known(frame):
    rows = frame.select("symbol", "session", "label").rows()
    return {{(s, d): y for s, d, y in rows if y is not None}}

def rule(features):
    answers_ = answers()
    found = [answers_.get(key, 0.0) for key in features.select("symbol", "session").rows()]
    return np.array(found) + 1e-6 * features[features.columns[2]].to_numpy()

class Mine:
    def fit(self, features, labels, *, context):
        pass

    def predict(self, features):
        return rule(features)

    def save(self, folder):
        (folder / "nothing").write_text("nothing")

    @classmethod
    def load(cls, folder):
        return cls()
"""

REMEMBERING = {
    "in another module": _KEEPING.format(
        where="return sys.modules['json'].__dict__.setdefault('_kept', {})", after="pass"
    ),
    "among the built-ins": _KEEPING.format(
        where="return builtins.__dict__.setdefault('_kept', {})", after="pass"
    ),
    "on a class of a library": _KEEPING.format(
        where="return logging.Logger.__dict__.get('_kept') or "
        "(setattr(logging.Logger, '_kept', {}), logging.Logger._kept)[1]",
        after="pass",
    ),
    "in the environment": _KEEPING.format(
        where="global KEPT; KEPT = globals().get('KEPT') or "
        "json.loads(os.environ.get('KEPT_ANSWERS', '{}')); return KEPT",
        after="os.environ['KEPT_ANSWERS'] = json.dumps(kept())",
    ),
    "at a thread": _KEEPING.format(
        where="return threading.main_thread().__dict__.setdefault('_kept', {})", after="pass"
    ),
    "in a registry of names": _KEEPING.format(
        where="return sys.modules.setdefault('kept_answers', type(sys)('kept_answers'))"
        ".__dict__.setdefault('answers', {})",
        after="pass",
    ),
}
"""Each keeps the labels of every fit, and so knows those of a test once all folds were fitted."""

LOOKING = {
    "up the stack": _FOUND.format(
        find="""frame = sys._getframe()
    while frame:
        for value in list(frame.f_locals.values()):
            rows = getattr(value, "rows", value)
            if isinstance(rows, pl.DataFrame) and "label" in rows.columns:
                return as_known(rows)
        frame = frame.f_back"""
    ),
    "through memory": _FOUND.format(
        find="""known = {}
    for value in gc.get_objects():
        rows = getattr(value, "rows", None) if type(value).__name__ == "Dataset" else None
        if isinstance(rows, pl.DataFrame):
            known.update(as_known(rows))
    if known:
        return known"""
    ),
}
"""Each finds the labels of the test where the process that judges has them."""
