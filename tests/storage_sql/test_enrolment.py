"""Tokens let a vehicle in once, and a revocation ends those that nobody has used yet."""

from datetime import timedelta
from pathlib import Path

from inventory_records import CAR, NOW, TRUCK, register
from sql_stories import tell

from uptane.storage.sql.enrolment import SqlEnrolment
from uptane.storage.sql.inventory import SqlInventory

LATER = NOW + timedelta(days=1)


def test_a_token_that_was_stolen_before_a_revocation_is_worth_nothing_after_it(tmp_path: Path) -> None:
    async def story(inventory: SqlInventory) -> None:
        await register(inventory)
        enrolment = SqlEnrolment(inventory.engine)
        await enrolment.add_token(CAR, "stolen", LATER)
        await enrolment.add_token(TRUCK, "another's", LATER)
        assert await enrolment.revoke(CAR) == 0
        assert not await enrolment.redeem(CAR, "stolen", NOW, "fingerprint", LATER)
        assert await enrolment.redeem(TRUCK, "another's", NOW, "another", LATER)

    tell(tmp_path / "inventory.db", story)


def test_the_certificates_of_one_vehicle_are_revoked_and_no_others(tmp_path: Path) -> None:
    async def story(inventory: SqlInventory) -> None:
        await register(inventory)
        enrolment = SqlEnrolment(inventory.engine)
        for vehicle in (CAR, TRUCK):
            await enrolment.add_token(vehicle, f"token of {vehicle}", LATER)
            assert await enrolment.redeem(vehicle, f"token of {vehicle}", NOW, f"of {vehicle}", LATER)
            assert not await enrolment.redeem(vehicle, f"token of {vehicle}", NOW, "again", LATER), "good once"
        assert await enrolment.revoke(CAR) == 1
        assert await enrolment.revoked() == {f"of {CAR}"}

    tell(tmp_path / "inventory.db", story)
