"""Images over HTTP from a folder and from object storage: the same answers, and errors without a body."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import httpx2
import pytest
from failing_objects import in_memory

from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import ImagePath
from uptane.services.object_files import FoundObject, ObjectFiles
from uptane.storage.folders import ImageFolder, hashed_names
from uptane.storage.object_images import ImageObjects
from uptane.storage.published_file import PIECE

PATH = ImagePath("dir/firmware é.img")
DATA = bytes(range(251)) * (2 * PIECE // 251) + b"the end"


@pytest.fixture(params=["folder", "objects"])
def images(request: pytest.FixtureRequest, tmp_path: Path) -> ImageFolder | ImageObjects:
    return ImageFolder(tmp_path / "targets") if request.param == "folder" else ImageObjects(in_memory())


async def ask(
    app: ObjectFiles, name: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=transport, base_url="https://localhost") as client:
        return await client.request(method, f"/repo/targets/{name}", headers=headers)


@pytest.mark.standard("STD-5.2.7-3", "STD-5.2.7-5")
def test_an_image_is_there_whole_in_parts_and_as_a_head_by_each_of_its_names(
    images: ImageFolder | ImageObjects,
) -> None:
    async def work() -> None:
        file = await images.add(PATH, DATA)
        app = ObjectFiles("repo/targets/", images.open)
        for name in (PATH, *hashed_names(file)):
            whole = await ask(app, name)
            assert (whole.status_code, whole.content) == (200, DATA)
            assert whole.headers["accept-ranges"] == "bytes"
            head = await ask(app, name, "HEAD")
            assert (head.status_code, head.content) == (200, b"")
            assert {**head.headers} == {**whole.headers} and head.headers["content-length"] == str(len(DATA))
            for asked, start, stop in (
                ("bytes=0-0", 0, 1),
                (f"bytes={PIECE - 1}-{PIECE}", PIECE - 1, PIECE + 1),
                ("bytes=-7", len(DATA) - 7, len(DATA)),
                (f"bytes={len(DATA) - 1}-", len(DATA) - 1, len(DATA)),
            ):
                part = await ask(app, name, headers={"range": asked})
                assert (part.status_code, part.content) == (206, DATA[start:stop])
                assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(DATA)}"
            tag = whole.headers["etag"]
            for condition, status in ((tag, 304), (f'"x", {tag}', 304), ("*", 304), ('"x"', 200)):
                for method in ("GET", "HEAD"):
                    answer = await ask(app, name, method, headers={"if-none-match": condition, "range": "bytes=0-"})
                    assert answer.status_code in (status, 206 if status == 200 else status)
                    assert answer.headers["etag"] == tag and (status == 200 or answer.content == b"")

    asyncio.run(work())


@pytest.mark.standard("STD-5.2.7-5")
@pytest.mark.parametrize(
    "name", ["none.img", "dir", "dir/", "dir/%2e%2e/x", "..%2fsecret", "%2e%2e/secret", ".new-images/x", "a%00b", "%ff"]
)
def test_what_is_not_published_is_answered_with_404_and_no_body(images: ImageFolder | ImageObjects, name: str) -> None:
    async def work() -> None:
        await images.add(PATH, DATA)
        app = ObjectFiles("repo/targets/", images.open)
        for method in ("GET", "HEAD"):
            answer = await ask(app, name, method)
            assert (answer.status_code, answer.content) == (404, b"")
        assert (await ask(app, "x", "DELETE")).status_code == 405
        beyond = await ask(app, PATH, headers={"range": f"bytes={len(DATA)}-"})
        assert (beyond.status_code, beyond.content) == (416, b"")
        assert beyond.headers["content-range"] == f"bytes */{len(DATA)}"

    asyncio.run(work())


def test_another_image_of_the_same_name_has_another_tag_and_is_never_mixed_in(
    images: ImageFolder | ImageObjects,
) -> None:
    async def work() -> None:
        await images.add(PATH, DATA)
        app = ObjectFiles("repo/targets/", images.open)
        tag = (await ask(app, PATH)).headers["etag"]
        found = await images.open(PATH)
        assert found is not None
        await images.add(PATH, bytes(len(DATA)))
        assert (await ask(app, PATH, headers={"if-none-match": tag})).status_code == 200
        with pytest.raises(StorageError, match="was replaced while it was read"):
            _ = [piece async for piece in found.stream()]

    asyncio.run(work())


class Broken:
    """An object whose store stops answering after a piece."""

    length = 10
    etag = '"x"'

    async def stream(self, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        yield b"begin"
        raise StorageError("the store is gone")


def test_a_store_that_does_not_answer_is_a_503_and_one_that_stops_in_the_middle_never_ends_the_body() -> None:
    async def unreachable(name: str) -> FoundObject | None:
        raise StorageError("the store does not answer")

    async def broken(name: str) -> FoundObject | None:
        return Broken()

    async def work() -> None:
        answer = await ask(ObjectFiles("repo/targets/", unreachable), "x")
        assert (answer.status_code, answer.content) == (503, b"")
        said = []

        async def send(message: dict[str, object]) -> None:
            said.append(message)

        scope = {"method": "GET", "raw_path": b"/repo/targets/x", "headers": []}
        await ObjectFiles("repo/targets/", broken)(scope, None, send)  # type: ignore[arg-type]
        assert [message.get("body") for message in said[1:]] == [b"begin"]
        assert said[-1]["more_body"] is True, "the server cuts the connection, as the answer was not ended"

    asyncio.run(work())
