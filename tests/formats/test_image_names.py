"""Names that are let through in bulk are names that would pass one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uptane.formats.image_names import are_ordinary
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import ImagePath

NAMES = st.lists(
    st.text(alphabet="ab./ -%\\:\u00e4\n\ud800", max_size=12) | st.text(max_size=130), min_size=1, max_size=4
)


@given(NAMES)
def test_what_is_ordinary_would_pass_one_by_one(names: list[str]) -> None:
    if are_ordinary(names):
        for name in names:
            assert ImagePath(name) == name


@pytest.mark.parametrize("name", ["a.img", "a/b/c-1_2.img", "with blank.img", "a,b/c+d=e@(1).img", "x" * 120])
def test_what_most_repositories_use_is_ordinary(name: str) -> None:
    assert are_ordinary([name]) and are_ordinary(["a", name, "z"]) and ImagePath(name)


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "C:x", "a\\b", "a%2f", "a\0", "\ud800"]
)
def test_what_would_not_pass_is_not_ordinary(name: str) -> None:
    assert not are_ordinary([name]) and not are_ordinary(["a", name, "z"])
    with pytest.raises(FormatError):
        ImagePath(name if name != "a%2f" else "%2fa")
