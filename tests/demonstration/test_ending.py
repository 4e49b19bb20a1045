"""The walkthrough is ended in the middle, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

UPTANE = Path(sys.executable).with_name("uptane")


def test_a_walkthrough_that_is_ended_removes_its_folder(tmp_path: Path) -> None:
    with subprocess.Popen(
        [str(UPTANE), "demo"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as walkthrough:
        assert walkthrough.stdout is not None and walkthrough.stderr is not None
        assert any(line.startswith("=== 2 ") for line in walkthrough.stdout)
        assert list(tmp_path.iterdir())
        walkthrough.terminate()
        assert walkthrough.wait(60) == 128 + signal.SIGTERM
        assert "Traceback" not in walkthrough.stderr.read()
    assert list(tmp_path.iterdir()) == []
