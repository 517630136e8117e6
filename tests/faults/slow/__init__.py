"""A driver that takes its time, so that a kill finds it at work."""
