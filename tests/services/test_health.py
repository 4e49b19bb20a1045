"""`/readyz` may be asked by anybody: the stores are asked once a second for all of them together."""

import asyncio

from uptane.services.health import REMEMBERED_SECONDS, Remembered


class Store:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked, self.well, self.now = 0, True, 1000.0
        self.may_answer = asyncio.Event()

    async def answers(self) -> bool:
        self.asked += 1
        await self.may_answer.wait()
        return self.well


def test_however_many_ask_at_the_same_time_the_store_is_asked_once() -> None:
    async def story() -> None:
        store = Store()
        ready = Remembered(store.answers, lambda: store.now)
        strangers = [asyncio.create_task(ready()) for _ in range(100)]
        await asyncio.sleep(0)
        strangers.pop(0).cancel()
        store.may_answer.set()
        assert await asyncio.gather(*strangers) == [True] * 99
        assert store.asked <= 2, "whoever hangs up does not take the answer away from the others"

    asyncio.run(story())


def test_after_a_second_the_store_is_asked_again_and_a_bad_answer_lasts_no_longer_than_a_good_one() -> None:
    async def story() -> None:
        store = Store()
        store.may_answer.set()
        ready = Remembered(store.answers, lambda: store.now)
        for well in (True, False, True):
            store.well = well
            assert await ready() is well
            store.well = not well
            store.now += REMEMBERED_SECONDS * 0.99
            assert await ready() is well, "it is remembered"
            store.now += REMEMBERED_SECONDS * 0.02
        assert store.asked == 3

    asyncio.run(story())
