"""The event loop of production servers, and how often Python looks for garbage there."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")

GARBAGE_THRESHOLDS = (20_000, 20, 100)
"""For `gc.set_threshold`. What a server remembers of vehicles is long-lived and in no cycle; with Python's own numbers
it was gone through again and again: the p99 of manifests in `make load` was 153 ms, and is 43 to 47 ms with these."""


def run(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Runs a program on uvloop, two thirds of asyncio's time for HTTPS, or on asyncio where that is missing."""
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    gc.freeze()
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)
