"""What a plan shows, in sentences: what each wave can say of the release, what limits the plan, what would buy more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from otacore.ids import FULL_SHARE
from rollout.domain.choosing import Chosen
from rollout.domain.judge.bound import allowed_by
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.judge.planner import FEWEST_UNITS, MOST_UNITS, WaveAnswer
from rollout.domain.proposal.candidates import LAST_WORKING, NOT_ENROLLED, NOT_HEARD_OF, Coming, LeftOut
from rollout.domain.proposal.days import WaveTime
from rollout.domain.proposal.draft import Assumption, Origin


@dataclass(frozen=True, slots=True)
class WaveOutlook:
    """One wave as an author reads it."""

    wave: int
    chargers: int
    opened: int
    """In all, once it is open."""
    how: str
    """By name, or by share."""
    entry_h: int
    hours: int
    """Until the next wave may open, or the rollout is complete."""
    pace_wait_h: int
    """Of them, spent waiting for the release's pace alone."""
    shows: str
    """What holds of the release when it went well."""


def outlook_of(
    chosen: Sequence[Chosen], answers: Sequence[WaveAnswer], times: Sequence[WaveTime]
) -> tuple[WaveOutlook, ...]:
    """Wave by wave."""
    made: list[WaveOutlook] = []
    opened = 0
    for number, (wave, answer, time) in enumerate(zip(chosen, answers, times, strict=True), start=1):
        opened += len(wave.chargers)
        made.append(
            WaveOutlook(
                wave=number,
                chargers=len(wave.chargers),
                opened=opened,
                how=_how(wave),
                entry_h=time.entry_h,
                hours=time.hours,
                pace_wait_h=time.pace_wait_h,
                shows=_shows(answer, len(wave.chargers)),
            )
        )
    return tuple(made)


def limits_of(
    judge: JudgePlan, coming: Coming, outlook: Sequence[WaveOutlook], answers: Sequence[WaveAnswer]
) -> tuple[str, ...]:
    """What limits the plan."""
    return tuple(_limits(judge, coming, outlook, answers))


def more_of(
    coming: Coming, assumptions: Sequence[Assumption], answers: Sequence[WaveAnswer], *, hours: int
) -> tuple[str, ...]:
    """What would buy more: narrower margins, more chargers, fewer days."""
    return tuple(_more(coming, assumptions, answers, hours))


def left_out_in_words(coming: Coming) -> tuple[str, ...]:
    """Who is not counted, by reason and name."""
    return tuple(
        f"{left.chargers} chargers are not counted ({left.reason}): {_names(left)}" for left in coming.left_out
    )


def remedies_of(coming: Coming) -> tuple[str, ...]:
    """What would bring those in that are left out."""
    said = {
        LAST_WORKING: "{} chargers are the last working ones of sites without consent: register windows there",
        NOT_HEARD_OF: "{} chargers come in once they are heard of again; else say that they are out of service",
        NOT_ENROLLED: "{} chargers are not enrolled yet",
    }
    return tuple(said[left.reason].format(left.chargers) for left in coming.left_out if left.reason in said)


def _limits(
    judge: JudgePlan, coming: Coming, outlook: Sequence[WaveOutlook], answers: Sequence[WaveAnswer]
) -> Iterator[str]:
    if not any(answer.makes_claim for answer in answers):
        said = allowed_by(good=outlook[-1].opened, bad=0)
        yield f"so few chargers prove nothing by comparison: the rollout can end watched, not proven: {said}"
    for wave, answer in zip(outlook, answers, strict=True):
        if wave.pace_wait_h:
            yield f"wave {wave.wave + 1} waits {wave.pace_wait_h} h for the release's pace"
        if answer.reserved:
            yield (
                f"wave {wave.wave}: {answer.reserved} of its chargers serve as controls first and get the release last"
            )
    if judge.lab:
        yield "a lab: the first charger that fails or is not healthy pauses the rollout and asks"
    if coming.quiet:
        yield f"{coming.quiet} chargers were not heard of for a day and will come late"
    windows = sum(coming.only_in.values())
    if windows:
        yield f"{windows} chargers may go down only inside the windows that their sites consented to"
    yield from left_out_in_words(coming)


def _more(
    coming: Coming, assumptions: Sequence[Assumption], answers: Sequence[WaveAnswer], hours: int
) -> Iterator[str]:
    if assumptions and assumptions[0].origin is Origin.DEFAULT:
        yield "measured restarts: 1,000 of them without failure would put p0 at 0.46 % instead of a default"
    few = [answer for answer in answers if answer.judged_units < MOST_UNITS]
    if few:
        most = max(answer.sites for answer in few)
        yield (
            f"more sites: at most {most} per wave stand behind {max(one.judged_units for one in few)} judged units; "
            f"{FEWEST_UNITS} make a claim, {MOST_UNITS} one of 12 points on sessions and 8 on the rest"
        )
    yield from remedies_of(coming)
    yield f"the soaks take most of the {hours / 24:.1f} days: a shorter one (--soak-s) saves its hours in every wave"


def _how(wave: Chosen) -> str:
    share = f"share {100 * wave.share / FULL_SHARE:.3g} %"
    named = f"{len(wave.named)} by name"
    per_site = ", one per site" if wave.request.one_per_site else ""
    if wave.named:
        return (f"{named}, {share}" if len(wave.named) < len(wave.chargers) else named) + per_site
    return share + per_site


def _shows(answer: WaveAnswer, chargers: int) -> str:
    if answer.makes_claim and answer.margins:
        margins = ", ".join(f"{one.metric} {one.margin_ppm / 10_000:g}" for one in answer.margins)
        return f"less worse than its controls by {margins} points"
    return f"watched: {allowed_by(good=chargers, bad=0)}"


def _names(left: LeftOut) -> str:
    more = left.chargers - len(left.device_ids)
    return ", ".join(left.device_ids) + (f" and {more} more" if more else "")
