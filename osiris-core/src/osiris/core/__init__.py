"""osiris-core: the adapter contract, the lifecycle, the engine and the event bus."""

__version__ = "1.0.0"
