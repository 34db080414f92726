"""Backups of the whole system: databases, files and secrets, as of one moment.

A backup is a folder of a few parts and a manifest, which is written last: what has none is no
backup. How a part is made is in `contents`, where it is kept in `places`.
"""
