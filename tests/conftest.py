"""What every test may use: the folder of reference material, and generated examples without deadlines."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent

settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material: `UPTANE_SHARED`, or `shared` beside the repository.

    A clone on its own has none; tests that need it are skipped there.
    """
    folder = Path(os.environ.get("UPTANE_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no reference material at {folder}; name its folder in UPTANE_SHARED")
    return folder
