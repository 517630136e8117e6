"""An adapter for Osiris that runs the engine elsewhere: in a process that has a copy of the project."""
