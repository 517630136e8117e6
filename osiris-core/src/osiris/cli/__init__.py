"""The ``osiris`` command."""
