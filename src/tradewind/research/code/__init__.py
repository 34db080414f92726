"""Code of the desk's own, beside its strategy files or in installed modules."""
