"""What runs, versions and their files are called in MLflow; the same for writer and reader."""

from typing import Final

PREFIX: Final = "tradewind."

SNAPSHOT_ID: Final = PREFIX + "snapshot_id"
STRATEGY_SHA256: Final = PREFIX + "strategy_sha256"
SEED: Final = PREFIX + "seed"
DATA_START: Final = PREFIX + "data_start"
DATA_END: Final = PREFIX + "data_end"
TRIALS: Final = PREFIX + "trials"
IDEMPOTENCY_KEY: Final = PREFIX + "idempotency_key"

# A metric of one fold; its step is the fold's index.
FOLD_PREFIX: Final = "fold/"

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"

MODEL: Final = "model"

STRATEGY_FILE: Final = "strategy.json"
FOLDS_FILE: Final = "folds.json"
OUT_OF_SAMPLE_FILE: Final = "predictions/out_of_sample.parquet"
REFERENCE_FILE: Final = "predictions/reference.parquet"
EQUITY_FILE: Final = "backtest/equity.parquet"
PLOT_FILE: Final = "backtest/equity_and_drawdown.png"
