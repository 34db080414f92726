"""Models: fitted, and asked."""
