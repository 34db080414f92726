"""Brokers that orders can go to."""
