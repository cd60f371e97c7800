"""Tells the story: a live panel on a terminal, plain lines everywhere else.

It knows scenes and claims, no server and no charger. Where the output is no terminal, nothing is drawn over, and
progress is told at most every few seconds and only when it changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ops.demo.claims import Claim
from ops.demo.progress import GOING_WELL, WENT_WRONG, Scene
from ops.demo.tally import Sessions
from otacore.clock import Clock

PLAIN_EVERY_MS = 5_000
BAR_WIDTH = 40
REFRESHES_PER_S = 4


class Teller:
    """One story."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._began_ms = clock.monotonic_ms()
        self._live: Live | None = None
        self._told: set[str] = set()
        self._last_plain = ""
        self._next_plain_ms = 0

    @property
    def seconds(self) -> float:
        """Since the story began."""
        return (self._clock.monotonic_ms() - self._began_ms) / 1000

    def chapter(self, title: str, said: str) -> None:
        self._console.print()
        self._console.print(Text(title, style="bold"))
        self._console.print(Text(said, style="dim"))

    def say(self, text: str) -> None:
        self._console.print(Text.assemble((f"{self.seconds:6.1f} s  ", "dim"), text))

    def say_once(self, text: str) -> None:
        """What would be the same in every chapter is told in the first one."""
        if text not in self._told:
            self._told.add(text)
            self.say(text)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While the block lasts, `show` draws in place (on a terminal)."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=REFRESHES_PER_S, transient=True) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def show(self, scene: Scene, sessions: Mapping[str, Sessions]) -> None:
        """Progress, as of now."""
        if self._live is not None:
            self._live.update(_panel(scene, sessions, self.seconds))
            return
        line = _line(scene, sessions)
        now_ms = self._clock.monotonic_ms()
        if not self._console.is_terminal and line != self._last_plain and now_ms >= self._next_plain_ms:
            self._last_plain, self._next_plain_ms = line, now_ms + PLAIN_EVERY_MS
            self.say(line)

    def claims(self, claims: Sequence[Claim]) -> None:
        """The table that the story ends with."""
        table = Table(title="From the chargers' own logs", box=box.SIMPLE_HEAD, title_justify="left")
        table.add_column("")
        table.add_column("claimed", justify="right")
        table.add_column("observed", justify="right")
        table.add_column("", no_wrap=True)
        for claim in claims:
            mark = Text("ok", style="green") if claim.holds else Text("FAILED", style="bold red")
            table.add_row(claim.what, claim.claimed, claim.observed, mark)
        self._console.print()
        self._console.print(table)


def _line(scene: Scene, sessions: Mapping[str, Sessions]) -> str:
    wave = f"wave {scene.wave} of {len(scene.waves)}"
    counts = f"{scene.count(*GOING_WELL)} kept or better, {scene.count(*WENT_WRONG)} went wrong"
    return f"{scene.state.replace('_', ' ')}, {wave}: {scene.taking_part} take part, {counts}; {_sessions(sessions)}"


def _panel(scene: Scene, sessions: Mapping[str, Sessions], seconds: float) -> RenderableType:
    waves = Table.grid(padding=(0, 2))
    for wave in scene.waves:
        done = wave.good + wave.bad
        bar = ProgressBar(total=max(1, wave.planned), completed=done, width=BAR_WIDTH)
        words = f"{wave.good} well, {wave.bad} not, of {wave.planned}" if wave.opened else "not open"
        waves.add_row(f"wave {wave.number}", bar, words)
    stages = ", ".join(f"{count} {stage}" for stage, count in scene.stages.items() if count) or "nobody yet"
    head = f"{scene.rollout_id}: {scene.state.replace('_', ' ')}   {seconds:.0f} s"
    return Group(Text(head, style="bold"), waves, Text(f"chargers: {stages}"), Text(_sessions(sessions)))


def _sessions(sessions: Mapping[str, Sessions]) -> str:
    told = (f"{version} {count.good} good {count.failed} failed" for version, count in sorted(sessions.items()))
    return f"sessions: {', '.join(told) or 'none yet'}"
