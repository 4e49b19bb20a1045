"""Which URLs of the Director are followed: the allowed hosts letter by letter, and no trick leads to another."""

import pytest
from raw_sockets import RawServer, dripping, endless, saying, serving

from uptane.metadata.errors import (
    EndlessDataError,
    FormatError,
    SlowRetrievalError,
    UnreachableError,
    UntrustedHostError,
)
from uptane.transport.limits import TransferLimits
from uptane.transport.third_hosts import HostPolicy, ThirdHostsOverHttp

QUICK = TransferLimits(
    connect_seconds=1.0, read_seconds=0.5, slow_start_seconds=0.3, min_bytes_per_second=2000.0, total_seconds=10.0
)
POLICY = HostPolicy(hosts=frozenset({"https://good.example", "https://cdn.example:8443", "https://[2001:db8::1]"}))


@pytest.mark.standard("STD-5.4.3.3-4")
@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://good.example/a/b.img", "https://good.example/a/b.img"),
        ("https://good.example", "https://good.example/"),
        ("https://good.example/", "https://good.example/"),
        ("https://good.example:443/a", "https://good.example/a"),
        ("HTTPS://Good.Example/A%20b", "https://good.example/A%20b"),
        ("https://good.example/a?b=c&d=%2F", "https://good.example/a?b=c&d=%2F"),
        ("https://good.example/@evil.example/", "https://good.example/@evil.example/"),
        ("https://cdn.example:8443/a", "https://cdn.example:8443/a"),
        ("https://[2001:DB8::1]/a", "https://[2001:db8::1]/a"),
    ],
)
def test_a_url_on_an_allowed_host_is_followed(url: str, asked: str) -> None:
    assert POLICY.allowed(url) == asked


@pytest.mark.standard("STD-5.4.3.3-4")
@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/a",
        "https://good.example.evil.example/a",
        "https://sub.good.example/a",
        "https://good.exampl/a",
        "https://good.example./a",
        "https://good.example:8443/a",
        "https://good.example:80/a",
        "https://good.example:/a",
        "https://good.example:0443x/a",
        "https://good.example:99999999/a",
        "https://cdn.example/a",
        "http://good.example/a",
        "http://good.example:443/a",
        "ftp://good.example/a",
        "file:///etc/passwd",
        "//good.example/a",
        "good.example/a",
        "https:/good.example/a",
        "https:good.example/a",
        "https://",
        "https:///a",
        "",
        "https://good.example@evil.example/",
        "https://good.example:443@evil.example/",
        "https://user:secret@good.example/",
        "https://@good.example/",
        "https://evil.example\\@good.example/",
        "https://good.example\\.evil.example/",
        "https://evil.example#@good.example/",
        "https://evil.example?@good.example/",
        "https://good.example#/a",
        "https://good.example/a#b",
        "https://good.example?a",
        "https://good%2eexample/a",
        "https://good.example%2f.evil.example/",
        "https://good.example%00.evil.example/",
        "https://g\u043e\u043ed.example/",
        "https://good\u3002example/",
        "https://good.\u0435xample/",
        "https://\uff47ood.example/",
        "https://good.example/\u00e4",
        "https://xn--gd-8caa.example/",
        "https://good.example/a b",
        " https://good.example/a",
        "https://good.example/a\n",
        "https://good.example/a\r\nHost: evil.example",
        "https://good.example\t/a",
        "https://good.example/%zz",
        "https://good.example/%2",
        "https://2001:db8::1/a",
        "https://[2001:db8::2]/a",
        "https://[2001:db8:0::1]/a",
    ],
)
def test_a_url_that_leads_elsewhere_or_may_is_not_followed(url: str) -> None:
    with pytest.raises(UntrustedHostError) as caught:
        POLICY.allowed(url)
    assert caught.value.facts["url"] == url


def test_no_host_is_allowed_that_was_not_named() -> None:
    with pytest.raises(UntrustedHostError):
        HostPolicy().allowed("https://good.example/a")


def test_a_host_without_encryption_has_to_be_allowed_loudly() -> None:
    plain = frozenset({"http://good.example"})
    with pytest.raises(FormatError):
        HostPolicy(hosts=plain)
    policy = HostPolicy(hosts=plain, unsafe_plain_http=True)
    assert policy.allowed("http://good.example:80/a") == "http://good.example/a"
    with pytest.raises(UntrustedHostError):
        policy.allowed("https://good.example/a")


@pytest.mark.parametrize(
    "host",
    ["good.example", "https://good.example/", "https://good.example/a", "https://a@b", "https://*", "", "https://ä"],
)
def test_a_host_is_written_as_a_scheme_a_name_and_a_port(host: str) -> None:
    with pytest.raises(FormatError):
        HostPolicy(hosts=frozenset({host}))


def fetch(url: str, start: int = 0) -> tuple[int, bytes] | None:
    """What comes from a third host, which is the one that the URL names."""
    origin = "/".join(url.split("/")[:3])
    policy = HostPolicy(hosts=frozenset({origin}), unsafe_plain_http=True)
    source = ThirdHostsOverHttp(policy, limits=QUICK, on_event=lambda line: None).source(url)
    with source.stream("name in the repository", 4, start) as body:
        return None if body is None else (body.start, b"".join(body))


def test_the_image_is_asked_for_at_the_url_and_nowhere_else() -> None:
    with RawServer(serving(b"body")) as server:
        assert fetch(f"{server.url}/a%20b?c=d") == (0, b"body")
        assert server.requests[0].startswith(b"GET /a%20b?c=d HTTP/1.1\r\n")
        assert b"authorization" not in server.requests[0].lower()


def test_a_download_from_a_third_host_goes_on_where_it_was_cut() -> None:
    head = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-3/4\r\nContent-Length: 2\r\n\r\n"
    with RawServer(saying(head + b"dy")) as server:
        assert fetch(f"{server.url}/a", 2) == (2, b"dy")


@pytest.mark.parametrize("line", [b"301 Moved", b"302 Found", b"307 Temporary Redirect", b"308 Permanent Redirect"])
def test_a_third_host_that_redirects_is_not_followed(line: bytes) -> None:
    with RawServer(serving(b"evil")) as other:
        redirect = b"HTTP/1.1 " + line + b"\r\nLocation: " + other.url.encode() + b"/a\r\nContent-Length: 0\r\n\r\n"
        with RawServer(saying(redirect)) as server, pytest.raises(UnreachableError):
            fetch(f"{server.url}/a")
        assert other.requests == []


@pytest.mark.standard("STD-5.4.3.3-7", "STD-5.4-3")
def test_a_third_host_has_the_limits_of_every_mirror() -> None:
    with RawServer(endless) as server, pytest.raises(EndlessDataError):
        fetch(f"{server.url}/a")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
    with RawServer(dripping(head + b"b", b"", seconds=0.1)) as server, pytest.raises(SlowRetrievalError):
        fetch(f"{server.url}/a")
    with RawServer(saying(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")) as server:
        assert fetch(f"{server.url}/a") is None
