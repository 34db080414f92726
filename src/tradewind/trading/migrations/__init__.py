"""Alembic's migrations of the trading book; run by `tradewind.trading.migrate`."""
