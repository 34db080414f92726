"""What runs, versions and their files are called in MLflow; the same for writer and reader."""

from typing import Final

WORKER: Final = "tradewind"
"""The account of Airflow's workers, who make the runs of tasks."""

PREFIX: Final = "tradewind."

SNAPSHOT_ID: Final = PREFIX + "snapshot_id"
STRATEGY_SHA256: Final = PREFIX + "strategy_sha256"
MODEL_CODE_SHA256: Final = PREFIX + "model_code_sha256"  # a field of Provenance
REQUIREMENTS_SHA256: Final = PREFIX + "requirements_sha256"  # likewise
FEATURES_SHA256: Final = PREFIX + "features_sha256"  # a field of Provenance
SEED: Final = PREFIX + "seed"
DATA_START: Final = PREFIX + "data_start"
DATA_END: Final = PREFIX + "data_end"
MODEL_SHA256: Final = PREFIX + "model_sha256"
TRIALS: Final = PREFIX + "trials"
LEAKAGE: Final = PREFIX + "leakage"
PICKLE: Final = PREFIX + "pickle"  # of versions that run code of the registry's when loaded
EXTERNAL: Final = PREFIX + "external"  # of versions whose predictions were made elsewhere
ATTACHED_SHA256: Final = PREFIX + "attached_sha256"  # of files that came along
IDEMPOTENCY_KEY: Final = PREFIX + "idempotency_key"
BENCHMARK: Final = PREFIX + "benchmark"
DATA_ERRORS: Final = PREFIX + "data_errors"

# Of a run alone, for people: of which time its bars are, and which code it was.
DATA: Final = PREFIX + "data"
COMMIT: Final = PREFIX + "commit"

# What the gate said: the verdict in a word, and all of it as JSON.
GATE: Final = PREFIX + "gate"
GATE_PREFIX: Final = GATE + "."
GATE_DECISION: Final = GATE_PREFIX + "decision"
PASSED: Final = "passed"
REFUSED: Final = "refused"

# On the registered model, one tag a change of champion; a number follows.
PROMOTION_PREFIX: Final = PREFIX + "promotion."

# A metric of one fold; its step is the fold's index.
FOLD_PREFIX: Final = "fold/"
# A point of a curve; its step is the position of its session in the backtest.
SERIES_PREFIX: Final = "series/"

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
PREVIOUS: Final = "previous"

MODEL: Final = "model"

STRATEGY_FILE: Final = "strategy.json"
GATE_FILE: Final = "gate.json"
FOLDS_FILE: Final = "folds.json"
OUT_OF_SAMPLE_FILE: Final = "predictions/out_of_sample.parquet"
REFERENCE_FILE: Final = "predictions/reference.parquet"
EQUITY_FILE: Final = "backtest/equity.parquet"
PLOT_FILE: Final = "backtest/equity_and_drawdown.png"
TEAR_SHEET_FILE: Final = "tearsheet/tearsheet.html"
TEAR_SHEET_PICTURE: Final = "tearsheet/tearsheet.png"
ATTACHED_FOLDER: Final = "attached"
IMPORTANCE_FILE: Final = "importance.json"
TRIALS_FILE: Final = "trials.parquet"
VALIDATION_FILE: Final = "validation.json"
VALIDATION_TEXT_FILE: Final = "validation.md"
# As MLflow's page shows tables, and compares them between runs.
FOLDS_TABLE: Final = "tables/folds.json"
TRIALS_TABLE: Final = "tables/trials.json"
UNDEFINED_TABLE: Final = "tables/undefined_features.json"

# Of MLflow's server, where it is asked to erase what was deleted.
ERASING_PATH: Final = "/api/2.0/tradewind/housekeeping"
