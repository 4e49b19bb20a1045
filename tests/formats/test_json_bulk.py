"""What is read in bulk is what is read entry by entry: the same value, the same refusals, and never another error."""

import json
import random
from collections.abc import Callable
from typing import Any

import der_samples
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uptane.formats.json_bulk import AT_ONCE, read_in_bulk
from uptane.formats.json_format import JSON
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.targets import Targets

SHA256, SHA384, SHA512 = "0123456789abcdef" * 4, "a" * 96, "5" * 128


def entry(**members: Any) -> dict[str, Any]:
    """An entry of `targets`."""
    return {"hashes": {"sha256": SHA256, "sha512": SHA512}, "length": 5} | members


def signed(images: dict[str, Any], **members: Any) -> dict[str, Any]:
    """The `signed` object."""
    common = {"_type": "targets", "expires": "2030-01-01T00:00:00Z", "spec_version": "1.0.0", "version": 3}
    return common | {"targets": images} | members


def text_of(value: dict[str, Any]) -> bytes:
    """The file in canonical form."""
    signatures = [{"keyid": "0" * 64, "sig": "00"}]
    file = {"signatures": signatures, "signed": value}
    return json.dumps(file, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def eagerly(raw: bytes) -> Envelope[Targets]:
    """The same file, with a blank before it: it is not canonical then, and each entry is made at once."""
    blank = b" " + raw
    assert read_in_bulk(blank) is None
    return JSON.decode(Targets, blank)


def outcome(read: Callable[[bytes], Envelope[Targets]], raw: bytes) -> object:
    """What a reader makes of a file, every entry looked up; None when it refuses."""
    try:
        envelope = read(raw)
        payload = envelope.payload
        members = (payload.version, payload.expires, payload.vehicle, payload.delegations, payload.extensions)
        return envelope.message, envelope.signatures, members, dict(payload.images)
    except FormatError:
        return None


def same(raw: bytes) -> object:
    """What both readers make of it."""
    lazy = outcome(lambda raw: JSON.decode(Targets, raw), raw)
    assert lazy == outcome(eagerly, raw)
    return lazy


CUSTOM = {
    "must_match": {"release_counter": 3, "hardware_ids": ["a", "b"], "more": [1, None, {"x": True}]},
    "ecus": {"TCU": {"hardware_id": "a"}, "BCU": {}},
    "url": "https://example.com/a",
    "anything": {"else": [10**19, -1]},
}

GOOD: list[dict[str, Any]] = [
    signed({}),
    signed({"a.img": entry()}),
    signed({f"s{n % 7}/f{n}.img": entry(length=n) for n in range(2 * AT_ONCE + 3)}),
    signed({"a.img": entry(length=0), "b.img": entry(length=999_999_999_999_999)}),
    signed({"a.img": entry(length=2**53 - 1)}),
    signed({"a.img": entry(hashes={"sha256": SHA256}), "b.img": entry(hashes={"sha256": SHA256})}),
    signed({"a.img": entry(hashes={"sha512": SHA512})}),
    signed({"a.img": entry(hashes={"sha384": SHA384})}),
    signed({"a.img": entry(hashes={"sha256": SHA256}), "b.img": entry(hashes={"sha384": SHA384})}),
    signed({"a.img": entry(custom=CUSTOM), "b.img": entry(custom={}), "c.img": entry()}),
    signed({"a b/c,d.img": entry(), "x+y=z@(1).img": entry()}, vin="democar"),
    signed({"a.img": entry()}, delegations={"keys": {}, "roles": []}),
]


@pytest.mark.parametrize("value", GOOD, ids=range(len(GOOD)))
def test_canonical_files_are_read_in_bulk_and_come_out_the_same(value: dict[str, Any]) -> None:
    raw = text_of(value)
    assert read_in_bulk(raw) is not None
    assert same(raw) is not None


RARE: list[dict[str, Any]] = [
    signed({name: entry()})
    for name in (
        "\u00e4.img",
        "ab:c",
        "50%.img",
        "a%2fb",
        "a/.hidden",
        "a..b",
        "a~b",
        "x" * 120,
        "y" * 119 + "/" + "z" * 120,
    )
] + [
    signed({"a.img": entry(new=1)}),
    signed({"a.img": entry(custom={"new": "a\\b"})}),
    signed({"a.img": entry()}, new=1),
    signed({"a.img": entry(custom={"\u00e4": "\u00f6"})}),
    {name: value for name, value in signed({"a.img": entry()}).items() if name != "spec_version"},
]


@pytest.mark.parametrize("value", RARE, ids=range(len(RARE)))
def test_what_is_rare_and_right_is_read_all_the_same(value: dict[str, Any]) -> None:
    assert same(text_of(value)) is not None


BAD_NAMES = ["", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/.", "C:x", "a\\b", "%2e%2e/a", "a\nb", "e\u0301"]
BAD_NAMES += ["x" * 121, "x/" * 127 + "xx", "\u202ea", "a\x7fb"]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("place", [0, 1, AT_ONCE, AT_ONCE + 1])
def test_a_bad_name_is_refused_when_the_file_is_decoded(name: str, place: int) -> None:
    """Also between good ones, in whatever pass it is looked at."""
    images = {f"a/f{n:04d}.img": entry() for n in range(place)} | {name: entry()} | {"zz.img": entry()}
    raw = text_of(signed(images))
    with pytest.raises(FormatError):
        JSON.decode(Targets, raw)
    assert same(raw) is None


BAD_ENTRIES: list[Any] = [
    entry(length=-1),
    entry(length=2**53),
    entry(length=10**15 * 99),
    entry(length=True),
    entry(length="5"),
    entry(length=None),
    entry(length=5.0),
    entry(hashes={}),
    entry(hashes=[]),
    entry(hashes={"md5": "00"}),
    entry(hashes={"sha256": SHA256, "md5": "00"}),
    entry(hashes={"sha256": None}),
    entry(hashes={"sha256": SHA256[1:], "sha512": SHA512 + "0"}),
    entry(hashes={"sha256": SHA256 + "00", "sha512": SHA512[2:]}),
    entry(hashes={"sha256": SHA256.upper(), "sha512": SHA512}),
    entry(hashes={"sha256": "g" * 64, "sha512": SHA512}),
    entry(hashes={"sha256": SHA256, "sha512": '"' * 128}),
    entry(hashes={"sha256": SHA256, "sha512": '\\"' * 64}),
    entry(hashes={"sha256": " " + SHA256[1:], "sha512": SHA512}),
    entry(hashes={"sha384": "g" * 96}),
    {"length": 5},
    {"hashes": {"sha256": SHA256}},
    entry(custom=None),
    entry(custom=[]),
    entry(custom={"x": 1.5}),
    entry(custom={"x": [10**21]}),
    [],
    None,
    5,
]


@pytest.mark.parametrize("bad", BAD_ENTRIES, ids=range(len(BAD_ENTRIES)))
def test_a_bad_entry_is_refused_when_the_file_is_decoded(bad: Any) -> None:
    """Alone, everywhere, and last among many good ones."""
    many = {f"f{n:04d}.img": entry() for n in range(AT_ONCE)}
    for images in ({"a.img": bad}, {"a.img": bad, "b.img": bad}, many | {"zz.img": bad}):
        raw = text_of(signed(images))
        with pytest.raises(FormatError):
            JSON.decode(Targets, raw)
        assert same(raw) is None


DOUBLED = [
    ('"length":5', '"length":5,"length":5'),
    ('"sha256":', f'"sha256":"{SHA256}","sha256":'),
    (f',"sha512":"{SHA512}"', f',"sha256":"{SHA256}"'),
    ('"a.img":', '"a.img":{},"a.img":'),
    ('"version":3', '"version":3,"version":3'),
    ('"more":[', '"more":1,"more":['),
    ('"keyid":', '"keyid":"0","keyid":'),
    ('"signatures":', '"signatures":[],"signatures":'),
    ('"custom":{', '"custom":{},"custom":{'),
]


@pytest.mark.parametrize(("old", "new"), DOUBLED, ids=range(len(DOUBLED)))
def test_a_doubled_key_is_refused_wherever_it_stands(old: str, new: str) -> None:
    text = text_of(signed({"a.img": entry(custom=CUSTOM), "b.img": entry()})).decode()
    assert old in text
    with pytest.raises(FormatError):
        JSON.decode(Targets, text.replace(old, new, 1).encode())
    assert same(text.replace(old, new, 1).encode()) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f'"sha256":"{SHA256}","sha512":"{SHA512}"', f'"sha512":"{SHA512}","sha256":"{SHA256}"'),
        ('"a.img"', '"\\u0061.img"'),
        ('"length":5}', '"length": 5}'),
        ('{"hashes"', '{"length":5,"hashes"'),
        ('"version":3', '"version":3 '),
        ("0123456789abcdef", "\\u0030123456789abcdef"),
    ],
)
def test_the_message_is_the_canonical_text_however_the_file_is_written(old: str, new: str) -> None:
    text = text_of(signed({"a.img": entry(), "b.img": entry()})).decode()
    changed = text.replace(old, new)
    if new.endswith('"hashes"'):
        changed = changed.replace(',"length":5}', "}")
    assert changed != text
    envelope = JSON.decode(Targets, changed.encode())
    assert envelope.message == JSON.decode(Targets, text.encode()).message
    assert same(changed.encode()) is not None


@pytest.mark.parametrize(
    "custom",
    [
        {"ecus": ["TCU"]},
        {"ecus": {"../TCU": {}}},
        {"must_match": {"release_counter": -1}},
        {"must_match": {"hardware_ids": []}},
        {"url": 5},
        {"ecus": {"TCU": {"encrypted_image": {}}}},
        {"a" * 200: 1},
    ],
)
def test_custom_data_without_meaning_is_refused_when_it_is_looked_up(custom: dict[str, Any]) -> None:
    raw = text_of(signed({"a.img": entry(), "b.img": entry(custom=custom)}))
    images = JSON.decode(Targets, raw).payload.images
    assert images[ImagePath("a.img")].file.length == 5
    with pytest.raises(FormatError):
        images[ImagePath("b.img")]
    with pytest.raises(FormatError):
        images.get(ImagePath("b.img"))
    assert same(raw) is None


def test_images_are_counted_and_named_without_being_made() -> None:
    images = JSON.decode(Targets, text_of(signed({"a.img": entry(), "b.img": entry(custom={"url": 5})}))).payload.images
    assert len(images) == 2 and ImagePath("b.img") in images and ImagePath("c.img") not in images
    assert [type(path) for path in images] == [ImagePath] * 2
    with pytest.raises(KeyError):
        images[ImagePath("c.img")]
    with pytest.raises(TypeError):
        hash(images)


def test_deep_nesting_in_custom_data_is_refused() -> None:
    text = text_of(signed({"a.img": entry(custom={"x": 1})})).decode()
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        raw = text.replace('"x":1', '"x":' + opening * 100_000 + "1" + closing * 100_000).encode()
        assert same(raw) is None


def test_one_changed_byte_means_the_same_to_both_readers() -> None:
    raw = text_of(signed({"a.img": entry(custom=CUSTOM), "b.img": entry(), "c/d.img": entry(length=77)}))
    chance = random.Random(2026)
    read = 0
    for _ in range(3_000):
        place = chance.randrange(len(raw))
        changed = raw[:place] + bytes([chance.randrange(256)]) + raw[place + 1 :]
        read += same(changed) is not None
    assert read > 100


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 2_000), st.integers(0, 40), st.binary(max_size=8) | st.sampled_from([b'"', b"}", b",", b"0"]))
def test_any_damage_means_the_same_to_both_readers(place: int, cut: int, junk: bytes) -> None:
    raw = text_of(signed({"a.img": entry(custom=CUSTOM), "b.img": entry(), "c/d.img": entry(length=77)}))
    same(raw[:place] + junk + raw[place + cut :])


def test_what_our_own_publisher_writes_is_read_in_bulk() -> None:
    payload = der_samples.payloads()["Targets"]
    assert isinstance(payload, Targets)
    images = {path: image for path, image in payload.images.items() if image.custom.extensions.items == ()}
    mine = Targets(version=1, expires=payload.expires, images=images)
    raw = JSON.assemble(JSON.encode(mine), ())
    assert read_in_bulk(raw) is not None
    assert JSON.decode(Targets, raw).payload == mine
