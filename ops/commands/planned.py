"""How a plan looks on a terminal: the waves as a table, and the sentences under it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from ops.commands.showing import table

_PPM_OF_PERCENT = 10_000
_H_OF_DAY = 24


def plan(console: Console, answer: Mapping[str, Any]) -> None:
    """A plan, wave by wave, with what each can show, what limits it and what would buy more."""
    waves = [_wave(*pair) for pair in zip(answer["outlook"], answer["answers"], strict=True)]
    heads = ("wave", "chargers", "in all", "opened", "judged", "margins", "passes", "days", "shows when it went well")
    if waves:
        table(console, heads, waves)
        ends = "proven" if any(one["makes_claim"] for one in answer["answers"]) else "watched"
        console.print(
            f"{_reached(answer)}, about {answer['hours'] / _H_OF_DAY:.1f} days; a good release gets through "
            f"by itself with {_percent(answer['passes_ppm'])} and ends {ends}",
            highlight=False,
        )
    _harm(console, answer.get("harm", ()))
    wishes = [(one["wished"], one["proposed"], one["why"]) for one in answer["wishes"]]
    if wishes:
        table(console, ("wished", "proposed", "why"), wishes)
    _list(console, "limits", answer["limits"])
    _list(console, "what would buy more", answer["more"])
    assumed = [(one["name"], one["value"], one["origin"], one["note"]) for one in answer["assumptions"]]
    table(console, ("assumed", "value", "source", ""), assumed)
    strata = [(one["hardware"], one["site_class"], one["from_version"]) for one in answer["judge"]["strata"]]
    if strata:
        table(console, ("watched apart: hardware", "site class", "from"), strata)


def _reached(answer: Mapping[str, Any]) -> str:
    coming, reached = answer["coming"], answer["outlook"][-1]["opened"]
    if reached == coming:
        return f"{coming} chargers"
    return (
        f"{reached} of {coming} chargers, and {coming - reached} get nothing (--wave 100% as the last one reaches all)"
    )


def _wave(outlook: Mapping[str, Any], answer: Mapping[str, Any]) -> tuple[object, ...]:
    margins = " ".join(f"{one['metric']} {one['margin_ppm'] / _PPM_OF_PERCENT:g}" for one in answer["margins"])
    return (
        outlook["wave"],
        outlook["chargers"],
        outlook["opened"],
        outlook["how"],
        answer["judged_units"],
        margins or None,
        _percent(answer["answer_ppm"]) if answer["makes_claim"] else "no claim",
        f"{outlook['hours'] / _H_OF_DAY:.1f}",
        outlook["shows"],
    )


def _harm(console: Console, harm: Sequence[Mapping[str, Any]]) -> None:
    if harm:
        rows = [(one["release"], f"{one['harmed']:.1f}", f"{one['stopped_pct']:.0f} %") for one in harm]
        table(console, ("if of the chargers", "really fail before it stops", "stopped"), rows)


def _list(console: Console, title: str, lines: Sequence[str]) -> None:
    if lines:
        console.print(f"[bold]{title}[/bold]")
    for line in lines:
        console.print(f"- {escape(line)}", highlight=False)


def _percent(ppm: int) -> str:
    return f"{ppm / _PPM_OF_PERCENT:.4g} %"
