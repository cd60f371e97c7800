"""The streams over every charger in a dry run: entries into groups, counts that move, readings at every tick."""

from dataclasses import dataclass

from rollout.domain.dryrun.blocks import Block
from rollout.domain.dryrun.fates import MINUTE_MS
from rollout.domain.dryrun.streams import CELL_OF, FIRST_GROUPS, Streams
from rollout.domain.judge.evidence import Claim
from rollout.domain.judge.facts import Watermark
from rollout.domain.judge.groups import group_number, part_of_phase
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.judge.starts import START
from rollout.domain.judge.verdict import Kind, judge


@dataclass(slots=True)
class Treated:
    """One charger that got the release, as far as it is known."""

    wave: int
    index: int
    """In the fates of its wave."""
    site: int
    stratum: int
    counts: bool
    """For START: alone in flight on its site."""
    references: int
    silent: int
    """References not heard of, as far as known; all of them at first."""
    silent_at_last: int
    heard_late: bool
    place: int = -1
    """Of its group among everybody's."""
    stratum_place: int = -1
    failed: bool = False
    bad: bool = False
    clean: bool = False
    block: Block | None = None

    def places(self) -> tuple[tuple[int, int], ...]:
        """Stratum and place of the groups that count it."""
        return ((0, self.place), (self.stratum, self.stratum_place)) if self.stratum else ((0, self.place),)


class Watching:
    """Groups of one rollout and what is read from them."""

    def __init__(self, plan: JudgePlan) -> None:
        self._plan, self._streams = plan, Streams(plan)
        self._phase, self._since, self._part, self._index = 0, 0.0, -1, 0
        self._failed_starts = 0
        self._pending: set[str] = set()

    def opens(self, phase: int, now_min: float) -> None:
        """An opening was published: a phase begins."""
        self._phase, self._since = phase, now_min

    def enters(self, one: Treated, now_min: float) -> int:
        """The charger gets its permit; answers its group."""
        part = part_of_phase(
            self._phase,
            since_ms=int(self._since * MINUTE_MS),
            now_ms=int(now_min * MINUTE_MS),
            horizon_ms=self._plan.horizon_ms,
        )
        if part != self._part:
            self._part, self._index = part, 0
        number = group_number(part, self._index)
        self._index += 1
        for stratum in {0, one.stratum}:
            groups = self._streams.groups[stratum]
            place = groups.place_of(number)
            groups.entered[place] += 1
            if one.counts:
                groups.starts[place][CELL_OF[one.references, 0, one.silent]] += 1
            self._streams.entered(stratum, place)
            one.place, one.stratum_place = (one.place, place) if stratum else (place, one.stratum_place)
        return number

    def start_fails(self, one: Treated, *, excused: bool) -> None:
        """`excused`: the rule over the first starts leaves it out."""
        self._moves(one, failed=True, silent=one.silent)
        one.failed = True
        if not excused:
            for stratum, place in one.places():
                self._streams.groups[stratum].failed[place] += 1
        self._failed_starts += 1
        self._pending.add(START)

    def references_are_read(self, one: Treated) -> None:
        """Who is silent is known now."""
        if one.silent != one.silent_at_last:
            self._moves(one, failed=one.failed, silent=one.silent_at_last)
            one.silent = one.silent_at_last
            if self._failed_starts:
                self._pending.add(START)

    def turns_bad(self, one: Treated, metric: str) -> None:
        """An event of this metric, for the guard."""
        for stratum, place in one.places():
            counts = self._streams.groups[stratum].bad.get(metric)
            if counts is not None:
                counts[place] += 1
                self._streams.changed(stratum, place, start=False, metric=metric)
                self._pending.add(metric)

    @property
    def is_pending(self) -> bool:
        """Whether something is to be read."""
        return bool(self._pending)

    def meets_rule(self, one: Treated) -> bool:
        """Whether too many of the first starts failed, this one among them."""
        return one.place < FIRST_GROUPS and self._streams.rule_crosses()

    def read(self, *, again: bool) -> bool:
        """Whether anything crosses. `again`: starts are handed to the judge anyway, after a halt."""
        pending, self._pending = self._pending, set()
        crossed = START in pending and (self._streams.start_crosses() or again)
        for metric in self._plan.ceilings_ppm:
            crossed |= metric in pending and self._streams.guard_crosses(metric)
        return crossed

    def verdict(self, wave: int) -> tuple[Kind, str]:
        """The judge's own word over these groups, and the first stream that crossed."""
        found = judge(self._plan, (), self._streams.facts(), wave=wave, watermark=Watermark(0))
        crossed = [one.stream for one in found.evidence if one.crossed and one.claim is not Claim.PASS]
        return found.kind, crossed[0] if crossed else "first starts"

    def _moves(self, one: Treated, *, failed: bool, silent: int) -> None:
        """From its cell of START to another."""
        if not one.counts:
            return
        for stratum, place in one.places():
            cells = self._streams.groups[stratum].starts[place]
            cells[CELL_OF[one.references, int(one.failed), one.silent]] -= 1
            cells[CELL_OF[one.references, int(failed), silent]] += 1
            self._streams.changed(stratum, place, start=True)
