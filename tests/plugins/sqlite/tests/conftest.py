"""What all tests share: the conformance kit shows the rule, and how to mend a breach, where one fails."""

pytest_plugins = ["osiris.testing.pytest_plugin"]
