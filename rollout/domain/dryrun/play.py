"""Plays one rollout: permits within caps and places, outages, evidence as it comes in, until it ends.

Event by event, in minutes. What will happen to a charger is drawn when its wave opens (`opening.py`, `fates.py`); here
it becomes known. Every decision is the production code's: `cap.may_grant` and `cap.may_soak` by `exposure.py`, group
numbers, tables, stakes and `verdict.judge` by `watching.py`, log-rank and pass by `blocks.py`.

Simpler than life: a charger that is ready asks at once when room is made; controls of a judged block are drawn from a
fleet without end; no person answers, so a rollout ends with its first question (after what was in flight is known).
"""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping

import numpy as np

from rollout.domain.dryrun.agenda import Agenda, Due, What
from rollout.domain.dryrun.blocks import Block, SoakReader, passes_after
from rollout.domain.dryrun.exposure import Exposure
from rollout.domain.dryrun.fates import MINUTE_MS
from rollout.domain.dryrun.fleet import Fleet
from rollout.domain.dryrun.opening import Opener, OpenWave
from rollout.domain.dryrun.outages import POLLS_TO_NOTICE, CutOff
from rollout.domain.dryrun.played import Ending, Entry, Judge, Played
from rollout.domain.dryrun.script import Script
from rollout.domain.dryrun.streams import MAX_REFERENCES
from rollout.domain.dryrun.watching import Treated, Watching
from rollout.domain.dryrun.world import DAY_MIN, HOUR_MIN, POLL_MIN, World
from rollout.domain.judge.plan import SILENCE, UNHEALTHY
from rollout.domain.judge.verdict import Kind

UNDECIDED_DAYS = 7.0
_EVERY_BLOCKS, _LAST_BLOCKS = 16, 3
"""The pass of a wave is looked for after every so many further blocks, and after each of the last few."""
_SEEN, _SHARE_OF_SEEN, _SHARE_OF_GROUP = 20, 0.05, 0.5
_INTO_TAIL = 0.25
"""An outage in the tail begins after this share of the time in which chargers get ready."""


def play(
    script: Script, fleet: Fleet, world: World, rng: np.random.Generator, *, by: Judge = Judge.OURS, keep: bool = False
) -> Played:
    """Play one rollout. `keep`: answer every entry too."""
    return _Play(script, fleet, world, rng, by=by, keep=keep).run()


class _Play:
    def __init__(
        self, script: Script, fleet: Fleet, world: World, rng: np.random.Generator, *, by: Judge, keep: bool
    ) -> None:
        self.script, self.plan, self.fleet, self.world, self.rng = script, script.plan, fleet, world, rng
        self.by, self.keep = by, keep
        self.opener = Opener(script, fleet, world, rng)
        self.cut_off = CutOff(script.plan, world, fleet, self.opener.sites, rng)
        self.watching, self.soak = Watching(script.plan), SoakReader(script.plan)
        self.caps = Exposure(script.plan, capped=by is Judge.OURS)
        self.agenda = Agenda()
        self.deadline = script.plan.start.deadline_ms / MINUTE_MS
        self.settle = script.plan.start.settle_ms / MINUTE_MS
        self.horizon = script.plan.horizon_ms / MINUTE_MS
        self.treated: list[Treated] = []
        self.waves: list[OpenWave] = []
        self.waiting: list[deque[tuple[int, int]]] = [deque() for _ in range(len(script.plan.strata) + 1)]
        self.parked: dict[int, deque[tuple[int, int]]] = defaultdict(deque)
        self.in_flight, self.places_taken = [0] * len(fleet.places), 0
        self.decided = self.harmed = 0
        self.entries: list[Entry] = []
        self.passed: set[int] = set()
        """Waves whose claim was shown, by number."""
        self.now = self.next_tick = self.paused_min = 0.0
        self.ticks, self.paused_from = False, -1.0
        self.halted = ""
        """Why, from a halt on: nothing more is permitted, and what is in flight is waited for."""
        self.end: tuple[Ending, str] | None = None
        self.happens: Mapping[What, Callable[[Due], None]] = {
            What.READY: self._ready,
            What.TOLD: self._told,
            What.REFERENCES: self._references,
            What.REFERENCES_AT_LAST: self._references_at_last,
            What.FAILS: self._fails,
            What.CONTROL_FAILS: self._control_fails,
            What.SILENT: lambda due: self._turns_bad(self.treated[due.number], SILENCE),
            What.UNHEALTHY: self._unhealthy,
            What.CLEAN: self._clean,
            What.SOAKED: lambda _: self._decides(),
            What.PASSED: self._passes,
            What.EXHAUSTED: self._is_exhausted,
            What.WAIT_OVER: self._waited,
            What.AFTER_HALT: lambda _: self._ends(Ending.ASKED, self.halted),
            What.TAIL_FREE: lambda due: self._next_wave(due.number),
            What.TICK: lambda _: self._read(),
            What.PAUSE: self._pauses,
            What.RESUME: self._resumes,
            What.BACK_LATE: lambda due: self._frees_place(due.number, due.extra),
        }

    def run(self) -> Played:
        self._open()
        if self.world.outage is not None and self.world.outage.at_h is not None:
            self._outage_begins(self.world.outage.at_h * HOUR_MIN)
        while self.end is None and (due := self.agenda.next()) is not None:
            self.now = due.at_min
            self.happens[due.what](due)
            if self.end is None:
                self._let_go()
                self._plan_tick()
        ending, why = self.end or (Ending.ASKED, "undecided")
        return Played(
            ending=ending,
            why=why,
            wave=len(self.waves),
            days=self.now / DAY_MIN,
            got=len(self.treated),
            harmed=self.harmed,
            paused_min=self.paused_min + (self.now - self.paused_from if self.paused_from >= 0.0 else 0.0),
            entries=tuple(self.entries),
        )

    def _ends(self, ending: Ending, why: str) -> None:
        self.end = self.end or (ending, self.halted or why)

    # --- waves ---

    def _open(self) -> None:
        number = len(self.waves)
        wave = self.script.waves[number]
        self.waves.append(self.opener.open(number, self.now, self.waves[-1] if self.waves else None))
        if wave.is_tail:
            # One opening with the wave before: caps begin anew, groups by the horizon (`permit.begins_anew`).
            self.caps.opens(self.script.waves[number - 1].chargers + wave.chargers)
        else:
            self.watching.opens(number + 1, self.now)
            self.caps.opens(wave.chargers)
        self.agenda.add(self.now + float(self.waves[-1].fates.ready_min[0]), What.READY, number)
        self.agenda.add(self.now + UNDECIDED_DAYS * DAY_MIN, What.WAIT_OVER, number + 1)
        if number + 1 < len(self.script.waves) and self.script.waves[number + 1].is_tail:
            self.agenda.add(self.now + self.horizon, What.TAIL_FREE, number + 1)
        if wave.is_tail and self.world.outage is not None and self.world.outage.at_h is None:
            self._outage_begins(self.now + _INTO_TAIL * self.world.ready_h * HOUR_MIN)

    def _next_wave(self, wave: int) -> None:
        if wave == len(self.waves) and not self.halted:
            self._open()

    def _passes(self, due: Due) -> None:
        self.passed.add(due.number)
        self._goes_on()

    def _decides(self) -> None:
        self.decided += 1
        self._goes_on()

    def _goes_on(self) -> None:
        """The next wave opens, or the rollout is completed, once the present wave has passed or is decided."""
        number, waves = len(self.waves), self.script.waves
        is_decided = self.decided >= self.script.decided_share * sum(one.chargers for one in waves[:number])
        claiming = number - 1 if waves[number - 1].is_tail and number > 1 else number
        has_passed = not waves[claiming - 1].passing or claiming in self.passed
        if number == len(waves):
            if is_decided and has_passed and not self.halted:
                self._ends(Ending.COMPLETED, "")
        elif has_passed and (is_decided or waves[number - 1].passing) and not waves[number].is_tail:
            self._next_wave(number)

    def _is_exhausted(self, due: Due) -> None:
        if due.number not in self.passed:
            self._ends(Ending.ASKED, "pass not reached")

    def _waited(self, due: Due) -> None:
        if due.number == len(self.waves):
            self._ends(Ending.ASKED, "undecided")

    def _outage_begins(self, when: float) -> None:
        if self.cut_off.is_to_begin(when):
            self.agenda.add(when + POLLS_TO_NOTICE * POLL_MIN, What.PAUSE)
            self.agenda.add(self.cut_off.ends + POLL_MIN, What.RESUME)

    def _pauses(self, _: Due) -> None:
        self.paused_from = self.now

    def _resumes(self, _: Due) -> None:
        self.paused_min += self.now - self.paused_from
        self.paused_from = -1.0

    # --- permits ---

    def _ready(self, due: Due) -> None:
        wave = self.waves[due.number]
        index = wave.next_ready
        wave.next_ready += 1
        if wave.next_ready < len(wave.fates.charger):
            self.agenda.add(wave.opened_min + float(wave.fates.ready_min[wave.next_ready]), What.READY, due.number)
        self.waiting[int(self.fleet.stratum[wave.fates.charger[index]])].append((due.number, index))

    def _let_go(self) -> None:
        if self.halted or self.paused_from >= 0.0 or not any(self.waiting):
            return
        room = self.caps.room()
        for stratum, line in enumerate(self.waiting):
            some = min(room, self.caps.room(stratum)) if stratum else room
            while line and some > 0:
                if self._enters(*line.popleft()):
                    some, room = some - 1, room - 1

    def _enters(self, number: int, index: int) -> bool:
        fates = self.waves[number].fates
        charger = int(fates.charger[index])
        site, stratum = int(self.fleet.site[charger]), int(self.fleet.stratum[charger])
        if self.in_flight[site] >= self.fleet.places[site]:
            self.parked[site].append((number, index))
            return False
        count = min(MAX_REFERENCES, max(self.fleet.chargers - 1 - self.places_taken, 0))
        silent, late = self.cut_off.references(count, self.now)
        silent = max(silent, int(self.rng.binomial(count, self.world.silent)))
        alone = self.in_flight[site] == 0
        one = Treated(number, index, site, stratum, alone, count, count, silent, late)
        self.in_flight[site] += 1
        self.places_taken += 1
        group = self.watching.enters(one, self.now)
        if self.keep:
            judged = self._forms_block(number) and index in self.waves[number].judged
            phase = sum(not wave.is_tail for wave in self.script.waves[: len(self.waves)])
            self.entries.append(Entry(self.now, phase, charger, group, is_judged=judged, counts=alone))
        self.caps.enters(stratum)
        self.harmed += bool(fates.harmed[index])
        self.treated.append(one)
        self._plan_ahead(one, len(self.treated) - 1)
        return True

    def _forms_block(self, number: int) -> bool:
        """Judged chargers form blocks while their wave is the newest; the tail opens none."""
        newest = len(self.waves) - 1
        return number == newest or (number == newest - 1 and self.script.waves[newest].is_tail)

    def _plan_ahead(self, one: Treated, number: int) -> None:
        fates, agenda = self.waves[one.wave].fates, self.agenda
        age, dead = float(fates.told_min[one.index]), bool(fates.dead[one.index])
        told, failed = self.cut_off.told(one.site, self.now, age, dead=dead)
        agenda.add(told, What.TOLD, number, int(failed))
        if one.heard_late:
            agenda.add(self.now + self.deadline, What.REFERENCES_AT_LAST, number)
        else:
            agenda.follow(self.now + self.settle + POLL_MIN, What.REFERENCES, number)
        if self.plan.soak_cap is not None:
            agenda.follow(self.now + self.plan.soak_cap.clean_after_ms / MINUTE_MS, What.CLEAN, number)
        agenda.follow(self.now + self.horizon + self.world.lag_min, What.SOAKED, number)
        self._plan_soak(one, number, failed=failed)
        row = self.waves[one.wave].judged.get(one.index)
        if row is not None and self._forms_block(one.wave):
            self._into_block(one, number, row, failed=failed)

    def _plan_soak(self, one: Treated, number: int, *, failed: bool) -> None:
        fates, index, lag = self.waves[one.wave].fates, one.index, self.world.lag_min
        if not failed:
            for metric in range(len(self.plan.metrics)):
                age = min(float(fates.fails_min[metric, index]), self.cut_off.event_age(one.site, self.now))
                if age <= self.horizon:
                    self.agenda.add(self.now + age + lag, What.FAILS, number, metric)
            if fates.unhealthy_min[index] <= self.horizon:
                self.agenda.add(self.now + float(fates.unhealthy_min[index]) + lag, What.UNHEALTHY, number)
        silent = min(float(fates.silent_min[index]), self.cut_off.silence_age(one.site, self.now))
        if silent <= self.horizon:
            self.agenda.add(self.now + silent, What.SILENT, number)

    # --- judged blocks ---

    def _into_block(self, one: Treated, number: int, row: int, *, failed: bool) -> None:
        wave, metrics = self.waves[one.wave], range(len(self.plan.metrics))
        fates, controls_bad = wave.fates, []
        for metric in metrics:
            ages = [self.cut_off.control_age(age, self.now) for age in wave.controls[row][metric]]
            controls_bad.append(sum(age <= self.horizon for age in ages))
            for age in ages:
                if age <= self.horizon:
                    self.agenda.add(self.now + age + self.world.lag_min, What.CONTROL_FAILS, number, metric)
        lost = failed or bool(min(fates.silent_min[one.index], fates.unhealthy_min[one.index]) <= self.horizon)
        treated_bad = [lost or bool(fates.fails_min[metric, one.index] <= self.horizon) for metric in metrics]
        at_risk = [1 + self.plan.controls for _ in metrics]
        one.block = Block(one.wave + 1, self.now, at_risk, treated_bad, controls_bad, told=[False for _ in metrics])
        wave.blocks.append(one.block)
        self._look_ahead(wave, one.wave + 1)

    def _look_ahead(self, wave: OpenWave, number: int) -> None:
        """When this wave will be seen to pass, or never."""
        passing, blocks = self.script.waves[number - 1].passing, wave.blocks
        left = len(wave.judged) - len(blocks)
        if not passing or not (left <= _LAST_BLOCKS or len(blocks) % _EVERY_BLOCKS == 0):
            return
        after = passes_after(self.plan, passing, blocks)
        if after is not None:
            seen = blocks[after - 1].entered_min + self.horizon + self.world.lag_min
            self.agenda.add(max(seen, self.now), What.PASSED, number)
        elif left == 0:
            self.agenda.add(self.now + self.horizon + self.world.lag_min, What.EXHAUSTED, number)

    # --- what becomes known ---

    def _told(self, due: Due) -> None:
        one = self.treated[due.number]
        self.caps.starts(one.stratum, failed=bool(due.extra))
        if not due.extra:
            self._frees_place(one.site, one.stratum)
            return
        self._mark_bad(one)
        if one.block is not None:
            one.block.is_dead = True
        self.watching.start_fails(one, excused=self.cut_off.excuses_start(one.site, self.now))
        if not self.waves[one.wave].fates.dead[one.index]:
            self.agenda.add(max(self.now, self.cut_off.ends) + POLL_MIN, What.BACK_LATE, one.site, one.stratum)
        if self.by is not Judge.OURS:
            self._others()
        elif self.plan.lab:
            self._ends(Ending.ASKED, "lab")
        elif not self.halted and self.watching.meets_rule(one):
            self._judge()

    def _frees_place(self, site: int, stratum: int) -> None:
        self.in_flight[site] -= 1
        self.places_taken -= 1
        if self.parked[site]:
            self.waiting[stratum].appendleft(self.parked[site].popleft())

    def _others(self) -> None:
        seen, failed = self.caps.settled_starts, self.caps.failed_starts
        if self.by is Judge.FIVE_OF_TWENTY:
            halts = seen >= _SEEN and failed >= _SHARE_OF_SEEN * seen
        else:
            halts = failed >= _SHARE_OF_GROUP * self.script.waves[len(self.waves) - 1].chargers
        if halts:
            self._ends(Ending.ASKED, self.by.value)

    def _references(self, due: Due) -> None:
        self.watching.references_are_read(self.treated[due.number])

    def _references_at_last(self, due: Due) -> None:
        self.watching.references_are_read(self.treated[due.number])

    def _fails(self, due: Due) -> None:
        one, metric = self.treated[due.number], self.plan.metrics[due.extra].metric
        if one.failed:
            return
        if not self.cut_off.excuses_event(one.site, self.now - self.world.lag_min):
            self._turns_bad(one, metric)
        if one.block is not None and self.by is Judge.OURS and self.soak.reads(one.block, due.extra, is_treated=True):
            self.halted = ""
            self._ends(Ending.ROLLED_BACK, f"soak:{metric}")

    def _control_fails(self, due: Due) -> None:
        block = self.treated[due.number].block
        if block is not None:
            self.soak.reads(block, due.extra, is_treated=False)

    def _unhealthy(self, due: Due) -> None:
        self._turns_bad(self.treated[due.number], UNHEALTHY)
        if self.plan.lab:
            self._ends(Ending.ASKED, "lab")

    def _turns_bad(self, one: Treated, metric: str) -> None:
        if not one.failed:
            self._mark_bad(one)
            self.watching.turns_bad(one, metric)

    def _mark_bad(self, one: Treated) -> None:
        if not one.bad:
            one.bad = True
            self.caps.turns_bad(one.stratum)
        if one.clean:
            one.clean = False
            self.caps.turns_clean(one.stratum, -1)

    def _clean(self, due: Due) -> None:
        one = self.treated[due.number]
        if not one.bad:
            one.clean = True
            self.caps.turns_clean(one.stratum)

    # --- evidence ---

    def _plan_tick(self) -> None:
        if self.watching.is_pending and not self.ticks and self.by is Judge.OURS and not self.plan.lab:
            self.ticks = True
            self.agenda.add(max(self.now, self.next_tick), What.TICK)

    def _read(self) -> None:
        self.ticks, self.next_tick = False, self.now + self.world.tick_min
        if self.watching.read(again=bool(self.halted)):
            self._judge()

    def _judge(self) -> None:
        # A tail is of the last planned wave: its controls within the wave, treated when their blocks are over.
        kind, why = self.watching.verdict(min(len(self.waves), len(self.plan.waves)))
        if kind is Kind.FAIL:
            self._ends(Ending.ROLLED_BACK, why)
        elif kind is Kind.HALT and not self.halted:
            self.halted = why
            self.agenda.add(self.now + self.deadline + self.world.tick_min, What.AFTER_HALT)
