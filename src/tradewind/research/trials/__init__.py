"""Trials: sweeps, their studies, and the ledger in which each one counts."""
