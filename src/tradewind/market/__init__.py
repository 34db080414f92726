"""Bars: where they come from, whether they can be trusted, and where they are kept.

Modules are imported by name (`tradewind.market.sources.sample`), so that using one never pays
for the imports of another.
"""
