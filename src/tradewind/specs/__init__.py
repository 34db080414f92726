"""Files that people write: strict YAML, folders of them, and what is wrong with one in words."""
