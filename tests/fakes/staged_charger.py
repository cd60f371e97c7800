"""A charger of paper that waits for its window with a verified release in its idle slot."""

from device_client.domain.state import Stage
from tests.fakes.paper_charger import PaperCharger
from tests.fakes.paper_world import PaperWorld


def staged() -> PaperCharger:
    """A charger with 1.1.0 verified in its idle slot, waiting for the window."""
    world = PaperWorld()
    charger = PaperCharger(world, world.factory())
    world.open("r1", world.release("1.1.0"))
    charger.window_open = False
    charger.run(5)
    assert charger.state.stage is Stage.STAGED
    charger.trace.clear()
    charger.reports.clear()
    return charger


def told(charger: PaperCharger) -> list[tuple[str, str | None]]:
    return [(report.fact.value, report.failure) for report in charger.reports]
