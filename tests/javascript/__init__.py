"""Unit tests, formatter and linter of JavaScript and CSS. `python -m tests.javascript`."""
