"""The budgets of the project, measured: ``python -m benchmarks`` (or ``nox -s bench``)."""
