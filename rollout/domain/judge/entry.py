"""One charger as the streams over everybody count it, from its permit to the end of its soak.

Pure: an entry in, an entry out, and the changes of the group counts that follow. It is made once per (rollout,
charger): a charger that asks again keeps its group and its references, so asking often makes no more facts and chooses
no better references.

Rules:
1. What is unknown is counted as the worst for "too many fail": the start as good, the references as silent, no metric
   as bad. Counts move when more becomes known, never back.
2. A start is decided at its deadline at the latest and never changes. Not back in time, reverted, failed, other bytes
   than were signed, or not healthy in the first report after it: all of these are a failed start.
3. An entry that is withdrawn counts nowhere: signed evidence says that the release never ran.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from otacore.wire import checks
from rollout.domain.judge.facts import MAX_CONTROLS, MAX_METRICS, StartOutcome
from rollout.domain.judge.groups import ENTERED, EVERYBODY, FAILED, MAX_STRATA, bad_cell, start_cell


@dataclass(frozen=True, slots=True)
class Entry:
    """One charger's contribution to its group."""

    group: int
    stratum: int
    """Of the plan, from 1; 0 when it belongs to none."""
    is_counted: bool
    """It counts for the start stream: no other charger of its site was in flight when it got its permit."""
    references: tuple[str, ...]
    """Device ids of its references."""
    silent: int
    """So many of them were not heard of, as far as is known."""
    start: StartOutcome | None = None
    bad: tuple[str, ...] = ()
    """Metrics with an event within its soak, sorted."""
    withdrawn: bool = False
    excused: bool = False
    """Its start ran out while the fleet was cut off: the rule over the first starts, which has no references, leaves it
    out. START has them, and counts it."""

    def __post_init__(self) -> None:
        checks.integer("group", self.group)
        checks.integer("stratum", self.stratum, 0, MAX_STRATA)
        checks.length("references", self.references, MAX_CONTROLS)
        checks.integer("silent", self.silent, 0, len(self.references))
        checks.length("bad", self.bad, MAX_METRICS)


def entered(*, group: int, stratum: int, is_counted: bool, references: tuple[str, ...]) -> Entry:
    """A charger at the instant of its first permit."""
    return Entry(group, stratum, is_counted, references, silent=len(references))


def with_start(entry: Entry, outcome: StartOutcome, *, excused: bool = False) -> Entry:
    """The entry once its start is decided; the first word stands."""
    return entry if entry.start is not None or entry.withdrawn else replace(entry, start=outcome, excused=excused)


def with_references(entry: Entry, references: tuple[str, ...], silent: int) -> Entry:
    """The entry once its references were looked at; who was heard of stays heard of.

    `references`: without those that restarted for a release themselves before they could be heard of. They were there
    when they did, so leaving them out can only raise the share of silent ones: the worst for the claim.
    """
    if entry.references and not references:
        return replace(entry, is_counted=False)  # nothing is left to compare with: it says nothing for START
    return replace(entry, references=references, silent=min(entry.silent, silent, len(references)))


def with_bad(entry: Entry, metrics: Iterator[str] | tuple[str, ...]) -> Entry:
    """The entry with events of these metrics."""
    return replace(entry, bad=tuple(sorted({*entry.bad, *metrics})))


def withdrawn(entry: Entry) -> Entry:
    """The entry once it is known that the release never ran here; refused once the start was decided."""
    return entry if entry.start is not None else replace(entry, withdrawn=True)


def asked_again(entry: Entry) -> Entry:
    """The entry of a charger that got a permit anew: it counts again, in its old place."""
    return replace(entry, withdrawn=False, silent=len(entry.references)) if entry.start is None else entry


def group_moves(before: Entry | None, after: Entry | None) -> Iterator[tuple[int, int, str, int]]:
    """Changes of the group counts, as (stratum, group, cell, delta)."""
    moves = Counter(() if after is None else _cells(after))
    moves.subtract(() if before is None else _cells(before))
    return ((stratum, group, cell, delta) for (stratum, group, cell), delta in sorted(moves.items()) if delta)


def _cells(entry: Entry) -> Iterator[tuple[int, int, str]]:
    if entry.withdrawn:
        return
    for stratum in {EVERYBODY, entry.stratum}:
        yield stratum, entry.group, ENTERED
        failed = entry.start is StartOutcome.FAILED
        if failed and not entry.excused:
            yield stratum, entry.group, FAILED
        if entry.is_counted:
            yield stratum, entry.group, start_cell(len(entry.references), failed=failed, silent=entry.silent)
        for metric in entry.bad:
            yield stratum, entry.group, bad_cell(metric)
