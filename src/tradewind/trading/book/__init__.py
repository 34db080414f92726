"""The trading book: its tables, and all that is written into them."""
