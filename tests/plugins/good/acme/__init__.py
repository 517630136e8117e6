"""A third party's plugin for Osiris: tables in SQLite files, and a room of its own to run in."""
