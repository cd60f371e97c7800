"""How answers of the operator API look on a terminal. It asks for nothing and decides nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from otacore.clock import utc

STATE_STYLE: Mapping[str, str] = {
    "running": "cyan",
    "completed": "green",
    "paused": "yellow",
    "halted": "red",
    "rolling_back": "red",
    "rolled_back": "magenta",
}
SHORT_DIGEST = 12
FULL_SHARE = 2**32


def moment(unix_ms: int | None) -> str:
    """A time of the server, in UTC."""
    return "-" if unix_ms is None else f"{utc(unix_ms):%Y-%m-%d %H:%M:%S}Z"


def table(console: Console, columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """Rows with headings; a sentence when there are none."""
    if not rows:
        console.print(f"{title}: none" if title else "none")
        return
    made = Table(*columns, title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for row in rows:
        made.add_row(*[escape("-" if cell is None else str(cell)) for cell in row])
    console.print(made)


def outcome(console: Console, answer: Mapping[str, Any]) -> None:
    """What an act came to."""
    if answer.get("outcome") == "awaiting_approval":
        approval = answer["approval"]
        console.print(f"[yellow]nothing was done yet[/yellow]: {escape(answer['why'])}")
        console.print(f"another person approves with: tidegate approvals approve {approval['approval_id']}")
        return
    epoch = f" (epoch {answer['epoch']})" if answer.get("epoch") else ""
    console.print(f"[green]done[/green]: {answer.get('action')} {escape(str(answer.get('subject')))}{epoch}")


def halted(console: Console, answer: Mapping[str, Any]) -> None:
    """What can still activate after a halt."""
    console.print(f"[red]halted[/red] {escape(answer['rollout_id'])} at epoch {answer['epoch']}")
    console.print(f"permits unreported: {answer['permits_open']}, of them younger than 30 s: {answer['permits_young']}")
    console.print(f"the manifest that says hold is {answer['publication']}")


def rollouts(console: Console, answer: Sequence[Mapping[str, Any]]) -> None:
    """All rollouts in a line each."""
    rows = [
        (one["rollout_id"], one["state"], f"{one['product']} {one['kind']}", one["wave"], one["epoch"], one["question"])
        for one in answer
    ]
    table(console, ("rollout", "state", "of", "wave", "epoch", "asks"), rows)


def progress(console: Console, answer: Mapping[str, Any]) -> None:
    """Where one rollout stands."""
    rollout, release = answer["rollout"], answer["release"]
    style = STATE_STYLE.get(rollout["state"], "white")
    result = "" if answer["result"] is None else f", {answer['result']}"
    console.print(
        f"[bold]{escape(rollout['rollout_id'])}[/bold]  [{style}]{rollout['state']}{result}[/{style}]  "
        f"{release['product']} {release['kind']} {release['version']} ({release['digest'][:SHORT_DIGEST]})"
    )
    console.print(
        f"epoch {rollout['epoch']}, manifest {answer['publication']}, since {moment(rollout['state_since_ms'])}, "
        f"open permits {answer['permits_open']}",
        highlight=False,
    )
    if rollout["question"]:
        console.print(f"[yellow]asks a person[/yellow]: {escape(rollout['question'])}")
    elif answer["standing"]:
        console.print(f"now: {escape(answer['standing'])} (read {moment(answer['read_at_ms'])})", highlight=False)
    if answer["result"] is not None:
        console.print(escape(answer["allows"]), highlight=False)
    waves = [_wave(one["wave"], one["tally"]) for one in answer["waves"]]
    table(console, ("wave", "planned", "share", "named", "opened", "outcome", "tally"), waves)
    table(console, ("stage", "chargers"), [(name, count) for name, count in answer["counters"].items() if count])
    for event in answer["hard_events"]:
        console.print(
            f"[red]safety trip[/red] {event['device_id']} at {moment(event['at_ms'])}: {escape(event['detail'])}"
        )


def _wave(wave: Mapping[str, Any], tally: Mapping[str, Any]) -> tuple[object, ...]:
    counts = ", ".join(f"{name} {value}" for name, value in tally.items() if value and name != "planned")
    share = f"{100 * wave['share'] / FULL_SHARE:.3g} %"
    return wave["number"], wave["planned"], share, wave["named"], moment(wave["opened_at_ms"]), wave["outcome"], counts


def explanation(console: Console, answer: Mapping[str, Any]) -> None:
    """Predicate by predicate."""
    said = "would be offered" if answer["offered"] else "is not offered"
    console.print(
        f"{escape(answer['device_id'])} {said} {escape(answer['rollout_id'])}; stage {answer['stage'] or '-'}"
    )
    rows = [("yes" if line["holds"] else "NO", line["predicate"], line["reason"]) for line in answer["lines"]]
    table(console, ("", "predicate", "answer"), rows)
    if answer["note"]:
        console.print(escape(answer["note"]))


def fields(console: Console, answer: Mapping[str, Any]) -> None:
    """A small object, one field a line."""
    for name, value in answer.items():
        if value is not None:
            console.print(f"{name:<16} {escape(str(value))}", highlight=False)
