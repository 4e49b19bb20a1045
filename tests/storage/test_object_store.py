"""The border to object storage: what its errors say, what they never say, and which URLs are taken."""

import asyncio
import logging
import pickle
import socket
import threading
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import pytest
from s3_server import ACCESS_KEY, SECRET_KEY, S3Server, running_s3_server

from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import ImagePath
from uptane.storage.folders import ImageFolder, PublishedFolder
from uptane.storage.object_images import ImageObjects
from uptane.storage.object_store import Objects, Version
from uptane.storage.object_urls import open_objects
from uptane.storage.objects import PublishedObjects
from uptane.storage.places import FolderPlace, ObjectPlace, open_place

WRONG_SECRET = "a-secret-that-is-not-the-right-one"

Call = Callable[[Objects], Awaitable[object]]
T = TypeVar("T")

CALLS: Mapping[str, Call] = {
    "read": lambda objects: objects.read("a"),
    "describe": lambda objects: objects.describe("a"),
    "create": lambda objects: objects.create("a", b"x"),
    "overwrite": lambda objects: objects.overwrite("a", b"x"),
    "receive": lambda objects: objects.receive("a", [b"x"], 1),
    "copy": lambda objects: objects.copy("a", "b"),
    "remove": lambda objects: objects.remove("a"),
    "entries": lambda objects: objects.entries("a/"),
    "publish": lambda objects: PublishedObjects(objects).publish([("1.a", b"x")], {"a": b"x"}),
    "add": lambda objects: ImageObjects(objects).add(ImagePath("a"), b"x"),
}


def refusal(objects: Objects, call: Call) -> StorageError:
    """The error of a call, after a look for secrets in everything that could be shown of it."""
    with pytest.raises(StorageError) as refused:
        asyncio.run(call(objects))  # type: ignore[arg-type]
    error = refused.value
    shown = [str(error), repr(error), repr(objects), repr(PublishedObjects(objects)), repr(error.facts)]
    shown += traceback.format_exception(error)
    shown += map(repr, pickle.loads(pickle.dumps(error)).facts.items())  # noqa: S301
    for secret in (SECRET_KEY, WRONG_SECRET, ACCESS_KEY, "Signature="):
        assert not [text for text in shown if secret in text]
    assert error.next_step
    return error


@pytest.fixture
def closed_endpoint() -> str:
    """Where nobody listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("name", CALLS)
def test_a_store_that_does_not_answer_is_told_with_what_to_do(
    name: str, closed_endpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"endpoint": closed_endpoint, "access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
    with caplog.at_level(logging.DEBUG):
        error = refusal(open_objects("s3://bucket/prefix", options=options), CALLS[name])
    assert "s3://bucket/prefix/" in error.what and error.what.endswith("it does not answer")
    assert error.next_step == "See that the store runs and that its endpoint is right, then try again."
    assert SECRET_KEY not in caplog.text


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"secret_access_key": WRONG_SECRET}, "SignatureDoesNotMatch"),
        ({"access_key_id": "somebody"}, "InvalidAccessKeyId"),
    ],
)
@pytest.mark.parametrize("name", [name for name in CALLS if name != "describe"])
def test_a_wrong_key_is_told_with_the_stores_own_word_and_no_secret(
    s3_server: S3Server, name: str, changed: Mapping[str, str], reason: str
) -> None:
    objects = open_objects(s3_server.url("keys"), options={**s3_server.options, **changed})
    error = refusal(objects, CALLS[name])
    assert error.facts["reason"] == reason and reason in error.what


class TalkativeStore(BaseHTTPRequestHandler):
    """Refuses everything, and repeats whatever secret it can think of."""

    status, code = 403, "SignatureDoesNotMatch"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = (
            f"<Error><Code>{self.code}</Code><AWSAccessKeyId>{ACCESS_KEY}</AWSAccessKeyId>"
            f"<StringToSign>{self.headers.get('authorization')} {SECRET_KEY}</StringToSign></Error>"
        ).encode()
        self.send_response(self.status, SECRET_KEY)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_PUT = do_POST = do_HEAD = do_DELETE = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


class StoreWithoutConditions(TalkativeStore):
    """Knows no conditional writes, and says so."""

    status, code = 501, "NotImplemented"


@pytest.fixture
def talkative(request: pytest.FixtureRequest) -> Iterator[Objects]:
    """A store that answers as its class says."""
    with HTTPServer(("127.0.0.1", 0), request.param) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        options = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
        yield open_objects("s3://bucket", options={**options, "endpoint": f"http://127.0.0.1:{server.server_port}"})
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("talkative", [TalkativeStore], indirect=True)
@pytest.mark.parametrize("name", CALLS)
def test_what_a_store_says_of_our_secrets_is_not_repeated(
    talkative: Objects, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        error = refusal(talkative, CALLS[name])
    assert error.facts["reason"] in ("SignatureDoesNotMatch", "HTTP status 403")
    assert SECRET_KEY not in caplog.text


@pytest.mark.parametrize("talkative", [StoreWithoutConditions], indirect=True)
def test_a_store_that_cannot_write_on_a_condition_is_not_written_to(talkative: Objects) -> None:
    assert "If-None-Match" in refusal(talkative, CALLS["create"]).next_step


class Careless(Objects):
    """Pays no heed to conditions, and says nothing."""

    async def create(self, name: str, data: bytes) -> Version | None:
        await self.overwrite(name, data)
        found = await self.read(name)
        return found.version if found else None


def test_a_store_is_proved_before_it_is_relied_on(s3_server: S3Server, closed_endpoint: str) -> None:
    async def work() -> None:
        objects = open_objects(s3_server.url("proved"), options=s3_server.options)
        for sound in (objects, open_objects("memory://")):
            await sound.prove()
            assert await sound.entries("") == {}
        careless = Careless(objects._store, "s3://careless", "proved/")
        with pytest.raises(StorageError, match="does not keep the conditions") as refused:
            await careless.prove()
        assert refused.value.next_step
        assert await objects.entries("") == {}
        unreachable = open_objects("s3://b", options={**s3_server.options, "endpoint": closed_endpoint})
        with pytest.raises(StorageError, match="does not answer"):
            await unreachable.prove()

    asyncio.run(work())


def test_a_bucket_that_is_missing_is_not_taken_for_an_empty_one(s3_server: S3Server) -> None:
    objects = open_objects("s3://no-such-bucket/prefix", options=s3_server.options)
    error = refusal(objects, CALLS["read"])
    assert error.facts["reason"] == "NoSuchBucket"
    assert error.next_step == "Make the bucket, or correct its name in the URL."


@pytest.mark.slow
def test_a_store_that_ends_and_comes_back_has_what_was_published(tmp_path: Path) -> None:
    def files(version: int) -> tuple[list[tuple[str, bytes]], dict[str, bytes]]:
        return [(f"{version}.snapshot", b"%d" % version)], {"timestamp": b"%d" % version}

    with running_s3_server(tmp_path / "s3") as server:
        objects = open_objects(server.url("repository"), options=server.options)
        asyncio.run(PublishedObjects(objects).publish(*files(1)))
    for call in (lambda objects: PublishedObjects(objects).publish(*files(2)), CALLS["read"]):
        assert "does not answer" in refusal(objects, call).what
    with running_s3_server(tmp_path / "s3") as server:
        store = PublishedObjects(open_objects(server.url("repository"), options=server.options))
        assert once_it_answers(lambda: store.read("timestamp")) == b"1"
        once_it_answers(lambda: store.publish(*files(2)))
        assert asyncio.run(store.read("timestamp")) == b"2"


def once_it_answers(ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The answer of a store that has just started, whose parts find each other one after the other."""
    pause = Event()
    for _ in range(300):
        with suppress(StorageError):
            return asyncio.run(ask())
        pause.wait(0.1)
    return asyncio.run(ask())


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/folder",
        "https://bucket.example/folder",
        f"s3://key:{SECRET_KEY}@bucket/prefix",
        f"s3://{SECRET_KEY}@bucket/prefix",
        f"az://container/prefix?sig={SECRET_KEY}",
        f"s3://bucket/prefix#{SECRET_KEY}",
        "s3://",
        "s3:///prefix",
        "s3://bucket/../other",
        "s3://bucket/a//b",
        "s3://bucket/%2e%2e/x",
        "s3://bucket/.new-x",
    ],
)
def test_a_url_that_is_none_of_object_storage_or_has_a_secret_in_it_is_refused_without_telling_it(url: str) -> None:
    with pytest.raises(StorageError) as refused:
        open_place(url)
    assert refused.value.next_step
    assert SECRET_KEY not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"endpoint": "http://store.example"}, "has no TLS"),
        ({"endpoint": "http://127.0.0.1.example:80"}, "has no TLS"),
        ({"acess_key_id": "x", "secret_access_key": SECRET_KEY}, "acess_key_id, secret_access_key"),
        ({"secret_access_key": SECRET_KEY}, "do not fit together"),
    ],
)
def test_options_that_cannot_be_right_are_refused_without_telling_them(
    options: Mapping[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StorageError, match=words) as refused:
        open_objects("s3://bucket/prefix", options=options)
    assert refused.value.next_step
    assert SECRET_KEY not in "".join(traceback.format_exception(refused.value))


def test_an_endpoint_without_tls_is_taken_on_this_machine_or_when_it_is_called_unsafe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
    for endpoint in ("http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost:9000", "https://store.example"):
        open_objects("s3://bucket", options={**keys, "endpoint": endpoint})
    open_objects("s3://bucket", options={**keys, "endpoint": "http://store.example"}, unsafe_plain_http=True)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store.example")
    with pytest.raises(StorageError, match="has no TLS"):
        open_objects("s3://bucket", options=keys)


def test_a_place_is_a_folder_or_object_storage(tmp_path: Path) -> None:
    for place in (tmp_path, str(tmp_path), f"file://{tmp_path}", f"file://localhost{tmp_path}"):
        opened = open_place(place)
        assert isinstance(opened, FolderPlace)
        assert isinstance(opened.metadata("a", "metadata"), PublishedFolder)
        images = opened.images("b")
        assert isinstance(images, ImageFolder)
        asyncio.run(images.add(ImagePath("x"), b"x"))
        assert (tmp_path / "b" / "x").read_bytes() == b"x"
    memory = open_place("memory://")
    assert isinstance(memory, ObjectPlace)
    assert repr(memory.metadata("VIN 1")) == "PublishedObjects(Objects('memory:///VIN 1/'))"
    assert repr(memory.images()) == "ImageObjects(Objects('memory:///'))"
    keys = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
    assert SECRET_KEY not in repr(open_place("s3://bucket/a%20b/c", options=keys))
    assert repr(open_place("s3://bucket/a%20b/c", options=keys).metadata("d")) == (
        "PublishedObjects(Objects('s3://bucket/a b/c/d/'))"
    )
    for bad in ("file://elsewhere/a", "file:///a?b", "file://"):
        with pytest.raises(StorageError):
            open_place(bad)


def test_two_prefixes_of_one_store_have_nothing_in_common() -> None:
    async def work() -> None:
        place = open_place("memory://")
        one, other = place.metadata("one"), place.metadata("other")
        await one.publish([("1.a", b"1")], {"a": b"1"})
        await other.publish([("1.a", b"2")], {"a": b"2"})
        assert [await one.read("a"), await other.read("a")] == [b"1", b"2"]

    asyncio.run(work())
