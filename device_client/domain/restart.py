"""How the agent begins after a boot, a power cut or a crash: what the three records say together.

The boot record is the truth of what runs and what may boot; the journal says what the agent was about. Where a power
cut fell between two writes, the missing one is made here, so doing it twice is harmless.

In this order: what the boot record shows to be wrong is set right (`repairs`), the job is taken up where it stands
(`resuming`), and the present state is reported. Nothing is fetched, asked for or armed here: a job waits for the next
poll that still names it. A slot that was given up and still runs, for the agent died before the reboot, is left now.
"""

from dataclasses import replace

from device_client.domain.boot import BootRecord
from device_client.domain.effects import Effect, Release
from device_client.domain.journal import Journal, Notice, PolicyMemory, with_confirmed, with_notice
from device_client.domain.reactions import with_journal
from device_client.domain.repairs import repaired, runs_what_it_left
from device_client.domain.resuming import resumed
from device_client.domain.slots import SlotName, SlotStatus
from device_client.domain.state import AgentState, Charger, Stage, Timing
from device_client.domain.trial import back_to_primary
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact


def start(
    *,
    charger: Charger,
    timing: Timing,
    boot: BootRecord,
    journal: Journal,
    policy: PolicyMemory,
    boot_id: str,
    entropy: str,
    at_ms: int,
) -> tuple[AgentState, tuple[Effect, ...]]:
    """The state to begin with, and what is to be done first: effects as of any step, a question last if there is one.

    `entropy`: at least 16 random bytes in hex, fresh.
    """
    state = AgentState(
        charger=charger,
        timing=timing,
        boot=boot,
        journal=journal,
        policy=policy,
        boot_id=boot_id,
        entropy=entropy,
        entered_at_ms=at_ms,
    )
    effects: tuple[Effect, ...] = ()
    for kind in ReleaseKind:
        state, repairs = repaired(state, kind)
        effects = (*effects, *repairs)
    state = resumed(_with_highest(state))
    # Any report tells the whole state: a plain one is added only when nothing else waits to be told.
    journal = state.journal if state.journal.notices else with_notice(state.journal, Notice(Fact.STATE))
    state, write = with_journal(state, journal)
    for kind in ReleaseKind:
        if runs_what_it_left(state.pair(kind)):
            state, boots = back_to_primary(replace(state, stage=Stage.REVERTING), kind)
            return state, (*effects, write, *boots)
    # A charger on trial starts no session before its slot is kept.
    release = () if state.stage is Stage.TRIAL else (Release(),)
    return state, (*effects, write, *release)


def _with_highest(state: AgentState) -> AgentState:
    """What lies confirmed in a slot was confirmed on this charger, in the factory or since."""
    journal = state.journal
    for kind in ReleaseKind:
        for name in SlotName:
            slot = state.pair(kind).slot(name)
            if slot.status is SlotStatus.CONFIRMED and slot.image is not None:
                journal = with_confirmed(journal, kind, slot.image.version)
    return replace(state, journal=journal)
