"""Out-of-sample evidence: datasets, folds, and what is predicted in them."""
