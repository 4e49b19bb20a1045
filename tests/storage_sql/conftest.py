"""Both inventories, for the stories that are told to each."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from uptane.director.ports import InventoryDatabase
from uptane.storage.memory_inventory import MemoryInventory
from uptane.storage.sql.inventory import open_inventory

Story = Callable[[InventoryDatabase], Coroutine[Any, Any, None]]


@pytest.fixture(params=["memory", "sqlite"])
def tell(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Story], None]:
    """Runs a coroutine function on a fresh inventory, which waits at most half a second for a turn."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[InventoryDatabase]:
        if request.param == "memory":
            yield MemoryInventory(wait_seconds=0.5)
            return
        inventory = await open_inventory(tmp_path / "inventory.db", wait_seconds=0.5)
        try:
            yield inventory
        finally:
            await inventory.dispose()

    async def on_a_fresh_inventory(story: Story) -> None:
        async with opened() as inventory:
            await story(inventory)

    return lambda story: asyncio.run(on_a_fresh_inventory(story))
