"""Figures of a record of returns, and what they prove."""
