"""Writes the pages, and the parts of pages, that say what the code says: ``python -m docs.generator``."""
