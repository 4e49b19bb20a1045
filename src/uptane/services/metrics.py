"""What the servers count and measure, for Prometheus; docs/operations/monitoring.md has the list.

Labels are routes, keys and codes, never paths or vehicles, so that their number is bounded. Of several worker processes
each writes its numbers into the folder PROMETHEUS_MULTIPROC_DIR, and whichever is asked adds them up.
"""

from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

from uptane import __version__

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder of several processes; it must be set before this module is imported."""

OTHER = "other"
"""The label of paths that no route has, and of methods that nobody knows."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
MANIFEST, DEVICES = "/director/manifest", "/devices"
IMAGES = frozenset({"/repo/targets", "/director/targets"})
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)

REQUESTS = Counter("uptane_requests", "Requests that were answered.", ("method", "route", "status"))
DURATION = Histogram("uptane_request_seconds", "Seconds to the end of the answer.", ("route",), buckets=SECONDS)
REFUSALS = Counter("uptane_refusals", "Answers that carry an error, by its code.", ("route", "code"))
MANIFESTS = Counter("uptane_manifests", "Vehicle version manifests: accepted, or the code of the error.", ("outcome",))
CERTIFICATES = Counter("uptane_certificates_issued", "Certificates that were given to vehicles.")
IMAGE_BYTES = Counter("uptane_image_bytes", "Bytes of images that were sent.")
SIGNATURES = Counter("uptane_signatures", "Signatures that were made, by the name of the key.", ("key",))
EXPIRY = Gauge(
    "uptane_timestamp_expiry_seconds",
    "When the published Timestamp expires, in seconds since 1970.",
    ("repository",),
    multiprocess_mode="mostrecent",
)
ROOT_EXPIRY = Gauge(
    "uptane_root_expiry_seconds",
    "When the Root of the Image repository expires, or the first Root of the vehicles that a worker remembers.",
    ("repository",),
    multiprocess_mode="mostrecent",
)
BUILD = Gauge("uptane_build_info", "Always 1; the label tells the version.", ("version",), multiprocess_mode="max")
BUILD.labels(__version__).set(1)


def count_request(method: str, route: str, status: int, seconds: float, sent: int, code: str) -> None:
    """Counts a request that has been answered.

    Args:
        method, route, status: what was asked where, and how it was answered; status 0 for a client that has left.
        seconds: that it took.
        sent: bytes of the answer's body.
        code: of the error that it was answered with, or nothing.
    """
    _requests(method if method in METHODS else OTHER, route, status).inc()
    _duration(route).observe(seconds)
    if code:
        REFUSALS.labels(route, code).inc()
    if route in IMAGES:
        IMAGE_BYTES.inc(sent)
    elif route == MANIFEST:
        MANIFESTS.labels("accepted" if status == 204 else code or OTHER).inc()
    elif route == DEVICES and status == 201:
        CERTIFICATES.inc()


@lru_cache(4096)
def _requests(method: str, route: str, status: int) -> Counter:
    return REQUESTS.labels(method, route, str(status))


@lru_cache(256)
def _duration(route: str) -> Histogram:
    return DURATION.labels(route)
