"""The examples in `--help`, as words that can be run."""

import io
import re
import shlex
from contextlib import redirect_stdout

import pytest

from uptane.cli.main import main


def examples(name: str) -> list[list[str]]:
    """The examples of a command, each without the word `uptane`."""
    with redirect_stdout(io.StringIO()) as shown, pytest.MonkeyPatch.context() as wide:
        wide.setenv("COLUMNS", "200")
        assert main([*name.split(), "--help"]) == 0
    found = re.findall(r"^ uptane (.+)", shown.getvalue(), re.MULTILINE)
    assert found, name
    return [shlex.split(line) for line in found]
