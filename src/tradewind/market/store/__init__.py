"""Where bars are kept: Delta tables, their commits, and the snapshots taken of them."""
