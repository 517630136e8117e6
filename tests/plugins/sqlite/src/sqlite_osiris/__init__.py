"""Osiris drivers for SQLite."""
