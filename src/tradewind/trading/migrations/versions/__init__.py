"""One module a migration, each after the one it names."""
