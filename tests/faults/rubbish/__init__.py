"""Drivers that return what nobody can use, and raise what nobody expects."""
