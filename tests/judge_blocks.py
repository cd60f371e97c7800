"""Small blocks and plans for tests of the judge: minutes as whole numbers, three controls, one or two metrics."""

from dataclasses import replace

from rollout.domain.judge.facts import Arm, Block, Event, Member, Start, StartOutcome
from rollout.domain.judge.plan import JudgePlan, MetricPlan, Source, StartPlan, WavePlan
from rollout.domain.judge.presets import BETS, SOAK_ROWS, START_ROWS

DEADLINE, SETTLE, WARM_UP, HORIZON, SILENCE = 30, 3, 30, 1440, 120
"""Milliseconds that stand for minutes: the judge only compares them."""
H7 = MetricPlan(metric="h7", margin_ppm=300_000, base_ppm=10_000, bets=BETS, warm_up_ms=WARM_UP)
FEED = replace(H7, metric="h9", source=Source.FEED)
SILENT = MetricPlan(metric="silence", margin_ppm=0, base_ppm=0, bets=(), warm_up_ms=WARM_UP, source=Source.SILENCE)


def plan(*metrics: MetricPlan, controls: int = 3, waves: int = 3, late_harm_parts: tuple[int, ...] = (1,)) -> JudgePlan:
    """A plan of up to three waves, the last of which makes no claim."""
    planned = tuple(
        WavePlan(wave, 40, wave < 3, "40 judged units" if wave < 3 else "no controls are left unopened")
        for wave in range(1, waves + 1)
    )
    return JudgePlan(
        start=StartPlan(p0_ppm=10_000, deadline_ms=DEADLINE, settle_ms=SETTLE, rows=START_ROWS),
        soak_rows=SOAK_ROWS,
        metrics=metrics or (H7,),
        horizon_ms=HORIZON,
        silence_ms=SILENCE,
        waves=planned,
        controls=controls,
        late_harm_parts=late_harm_parts,
    )


def member(
    name: str,
    arm: Arm,
    *,
    failed_at: int | None = None,
    metric: str = "h7",
    known: int = HORIZON,
    start: StartOutcome | None = StartOutcome.HEALTHY,
    start_at: int = 5,
) -> Member:
    """A charger that came back at age 5 and is known through the horizon, unless said otherwise."""
    return Member(
        device_id=name,
        site_id=f"site-{name}",
        arm=arm,
        start=None if start is None else Start(start, start_at),
        events=() if failed_at is None else (Event(metric, failed_at),),
        known_through_ms=known,
    )


def treated(name: str = "t", **facts: object) -> Member:
    """A treated charger."""
    return member(name, Arm.TREATED, **facts)  # type: ignore[arg-type]  # forwarded as they are


def control(name: str = "c", **facts: object) -> Member:
    """A control."""
    return member(name, Arm.CONTROL, **facts)  # type: ignore[arg-type]  # forwarded as they are


def block(
    number: int,
    one: Member | None = None,
    controls: tuple[Member, ...] | None = None,
    *,
    wave: int = 1,
    entered: int = 0,
) -> Block:
    """A block; healthy throughout where nothing is said."""
    first = one or treated()
    rest = tuple(control(f"c{index}") for index in range(3)) if controls is None else controls
    return Block(
        number=number,
        wave=wave,
        stratum="acme-dc50/street",
        entered_at_ms=entered,
        treated=replace(first, device_id=f"{number}-{first.device_id}"),
        controls=tuple(replace(one, device_id=f"{number}-{index}-{one.device_id}") for index, one in enumerate(rest)),
    )
