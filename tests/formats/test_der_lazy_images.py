"""Images in DER that are looked up when they are needed: refused when the file is decoded, or the same as ever."""

import pytest
from cryptography.hazmat import asn1
from msgspec import structs

from uptane.formats.der_format import DER
from uptane.formats.der_images import read_file, read_images, write_images
from uptane.formats.der_schema import WireDigest, WireHash, WireImage, WireImageFile
from uptane.metadata.digests import Digests
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.root import NOT_PUBLISHED_YET
from uptane.metadata.targets import Custom, EcuAssignment, Image, ImageFile, MustMatch, Targets

SHA256, SHA384, SHA512 = (
    WireDigest(function=function, value=bytes(length))
    for function, length in ((WireHash.sha256, 32), (WireHash.sha384, 48), (WireHash.sha512, 64))
)
SHORT, LONG = (
    WireDigest(function=WireHash.sha256, value=bytes(31)),
    WireDigest(function=WireHash.sha512, value=bytes(65)),
)


def entry(path: str = "m.img", length: int = 5, hashes: tuple[WireDigest, ...] = (SHA256, SHA512)) -> WireImage:
    return WireImage(file=WireImageFile(path=path, length=length, hashes=list(hashes)), custom=None)


@pytest.mark.parametrize(
    "bad",
    [
        entry("../m"),
        entry("m\\"),
        entry("/m"),
        entry(""),
        entry("e\u0301"),
        entry(length=-1),
        entry(length=2**53),
        entry(hashes=()),
        entry(hashes=(SHORT, SHA512)),
        entry(hashes=(SHA256, LONG)),
        entry(hashes=(SHA512, SHA256)),
        entry(hashes=(SHA256, SHA256)),
        entry(hashes=(SHORT,)),
    ],
    ids=range(13),
)
def test_a_bad_entry_is_refused_when_the_file_is_decoded(bad: WireImage) -> None:
    for entries in ([bad], [bad, entry("zz.img")]):
        with pytest.raises(FormatError):
            read_images(sorted(entries, key=lambda each: each.file.path))


@pytest.mark.parametrize("names", [("b", "a"), ("a", "a")])
def test_names_out_of_order_or_doubled_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(FormatError):
        read_images([entry(name) for name in names])


@pytest.mark.parametrize(
    "right",
    [
        entry(),
        entry(length=0),
        entry(length=2**53 - 1),
        entry(hashes=(SHA256,)),
        entry(hashes=(SHA256, SHA384, SHA512)),
        entry("\u00e4.img"),
        entry("50%.img"),
        entry("a..b"),
        entry("a/.hidden"),
    ],
    ids=range(9),
)
def test_what_is_right_is_looked_up_as_it_would_be_made_at_once(right: WireImage) -> None:
    images = read_images([right])
    path = ImagePath(right.file.path)
    assert images[path] == Image(file=read_file(right.file))
    assert list(images) == [path] and type(next(iter(images))) is ImagePath and len(images) == 1


def targets(vehicle: VehicleIdentifier | None) -> Targets:
    """Targets whose images have custom data of a Director."""
    files = [
        ImageFile(path=ImagePath(f"f{n}.img"), length=n, digests=Digests.of(bytes(n), ("sha256", "sha512")))
        for n in range(3)
    ]
    customs = [
        Custom(),
        Custom(must_match=MustMatch(release_counter=1), ecus={EcuIdentifier("TCU"): EcuAssignment()}),
        Custom(
            ecus={EcuIdentifier("B"): EcuAssignment(), EcuIdentifier("A"): EcuAssignment()}, url="https://example.com"
        ),
    ]
    images = {file.path: Image(file=file, custom=custom) for file, custom in zip(files, customs, strict=True)}
    return Targets(version=1, expires=NOT_PUBLISHED_YET, vehicle=vehicle, images=images)


def test_a_directors_targets_are_encoded_as_those_of_an_image_repository() -> None:
    """The one is written with parts that were encoded before, the other is not."""
    plain, directed = targets(None), targets(VehicleIdentifier("VIN"))
    written = write_images(plain.images)
    read = DER.decode(Targets, DER.assemble(DER.encode(directed), ())).payload
    assert dict(read.images) == directed.images
    assert DER.encode(read) == DER.encode(directed)
    for image in written:
        assert asn1.encode_der(image) in DER.encode(directed).message
        assert asn1.encode_der(image) in DER.encode(plain).message


def test_a_directors_image_under_another_name_is_not_written() -> None:
    directed = targets(VehicleIdentifier("VIN"))
    images = {ImagePath("other.img"): directed.images[ImagePath("f1.img")]}
    with pytest.raises(FormatError):
        DER.encode(structs.replace(directed, images=images))
