"""The Timeserver's keys in the Director's Root: the same value in both formats, read strictly."""

import pytest
from msgspec import structs
from world import NOW, new_signer

from uptane.formats.profiles import PROFILES
from uptane.formats.timeserver_keys import (
    MAX_TIMESERVER_KEYS,
    read_timeserver_keys,
    timeserver_keys_of,
    with_timeserver_keys,
    write_timeserver_keys,
)
from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import Extensions
from uptane.metadata.keys import KeyType
from uptane.metadata.root import Role, Root
from uptane.signing.publish import new_root
from uptane.signing.sign import sign

KEYS = [new_signer(kind).key for kind in KeyType]
SIGNERS = {role: [new_signer()] for role in Role}
ROOT = structs.replace(new_root(SIGNERS), expires=NOW, extensions=Extensions((("other", b"1"),)))


@pytest.mark.parametrize("name", ["json", "der"])
@pytest.mark.parametrize("keys", [KEYS, KEYS[:1], KEYS[::-1]], ids=["all kinds", "one", "the other order"])
def test_they_come_back_as_they_were_named_and_nothing_else_changes(name: str, keys: list) -> None:  # type: ignore[type-arg]
    named = with_timeserver_keys(with_timeserver_keys(ROOT, KEYS), keys)
    profile = PROFILES[name]
    read = profile.format.decode(Root, sign(profile, named, SIGNERS[Role.ROOT])).payload
    assert read == named
    assert timeserver_keys_of(read) == tuple(keys)
    assert read.extensions.as_dict()["other"] == b"1"
    assert read.keys == ROOT.keys


def test_a_root_that_says_nothing_of_them_names_none() -> None:
    assert timeserver_keys_of(ROOT) == ()


@pytest.mark.parametrize(
    "keys",
    [[], [KEYS[0], KEYS[0]], [new_signer().key for _ in range(MAX_TIMESERVER_KEYS + 1)]],
    ids=["none", "one twice", "too many"],
)
def test_a_list_that_is_none_is_not_written(keys: list) -> None:  # type: ignore[type-arg]
    with pytest.raises(FormatError, match="different keys"):
        with_timeserver_keys(ROOT, keys)


GOOD = write_timeserver_keys(KEYS[:1])


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b"{}",
        b"1",
        b"[1]",
        b"",
        GOOD + b" ",
        GOOD[:-1],
        b"[" + GOOD[1:-1] + b"," + GOOD[1:-1] + b"]",
        b"[" + b",".join([b"{}"] * 100_000) + b"]",
        GOOD.replace(b"scheme", b"schema"),
    ],
)
def test_a_list_that_is_none_is_not_read(text: bytes) -> None:
    with pytest.raises(FormatError):
        read_timeserver_keys(text)
