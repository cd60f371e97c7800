"""`tidegate fleet`: register sites and chargers, tokens for enrolment, service, isolation, latches."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ops.commands import showing
from ops.commands.deeds import Deed, run
from ops.commands.operator_api import Call
from otacore.errors import Misuse

MAX_FILE_BYTES = 16 * 1024 * 1024
CSV_SUFFIX = ".csv"


def _file(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="CSV with a header line, or JSON")


def _charger(parser: ArgumentParser) -> None:
    parser.add_argument("charger", help="the charger's name")


def _reasoned(parser: ArgumentParser) -> None:
    _charger(parser)
    parser.add_argument("--reason", required=True, help="why; it stands in the audit log")


def _isolating(parser: ArgumentParser) -> None:
    parser.add_argument("charger", nargs="+", help="chargers' names")
    parser.add_argument("--reason", required=True, help="why; it stands in the audit log")


def _scoped(parser: ArgumentParser) -> None:
    parser.add_argument("scope", help="fleet, product:<slug> or site:<site id>")
    parser.add_argument("--reason", required=True, help="why; it stands in the audit log")


def _tokened(parser: ArgumentParser) -> None:
    _charger(parser)
    parser.add_argument("--reason", default="", help="why; it stands in the audit log")
    parser.add_argument("--ttl-s", type=int, default=86_400, help="how long the token may be used")


def _listing(parser: ArgumentParser) -> None:
    parser.add_argument("--from-number", type=int, default=0, help="go on from here")
    parser.add_argument("--limit", type=int, default=1000)


def _register(what: str) -> Callable[[Namespace], Call]:
    return lambda parsed: Call("POST", f"/fleet/{what}", _content(parsed.file))


def _act(verb: str) -> Callable[[Namespace], Call]:
    return lambda parsed: Call("POST", f"/fleet/chargers/{parsed.charger}/{verb}", {"reason": parsed.reason})


def _isolate(parsed: Namespace) -> Call:
    return Call("POST", "/fleet/isolate", {"device_ids": parsed.charger, "reason": parsed.reason})


def _token(parsed: Namespace) -> Call:
    body = {"reason": parsed.reason, "ttl_s": parsed.ttl_s}
    return Call("POST", f"/fleet/chargers/{parsed.charger}/token", body)


def _latch(suffix: str) -> Callable[[Namespace], Call]:
    return lambda parsed: Call("POST", f"/fleet/latches/{parsed.scope}{suffix}", {"reason": parsed.reason})


def _list(parsed: Namespace) -> Call:
    return Call("GET", f"/fleet/chargers?from_number={parsed.from_number}&limit={parsed.limit}")


def _content(file: Path) -> Any:
    """A CSV as it stands, or JSON. Raises: Misuse("file.unreadable" | "file.too_large")."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise Misuse("file.too_large", f"{file} has more than {MAX_FILE_BYTES} bytes: send it in parts")
        return data.decode() if file.suffix == CSV_SUFFIX else json.loads(data)
    except (OSError, ValueError) as error:
        raise Misuse("file.unreadable", f"{file} cannot be read: {error}") from error


def _registered(console: Console, answer: Any) -> None:
    if "outcome" in answer:
        showing.outcome(console, answer)
        return
    console.print("created {created}, changed {changed}, unchanged {unchanged}".format(**answer))


def _issued(console: Console, answer: Any) -> None:
    if "outcome" in answer:
        showing.outcome(console, answer)
        return
    console.print(f"one-time token of {answer['device_id']}, until {showing.moment(answer['expires_at_ms'])}:")
    console.print(answer["token"], highlight=False, soft_wrap=True)


def _sheet(console: Console, answer: Any) -> None:
    showing.fields(console, answer["device"])
    state = answer["state"]
    if state is not None:
        running = state["firmware"]
        console.print(f"runs             {running['version']} (confirmed: {running['confirmed']})", highlight=False)
        console.print(f"healthy          {state['healthy']}, phase {state['phase']}", highlight=False)
        console.print(f"last report      {showing.moment(state['received_at_ms'])}", highlight=False)
    rows = [(one["rollout_id"], one["stage"], one["reason"]) for one in answer["running"]]
    showing.table(console, ("rollout", "stage", "reason"), rows, title="rollouts")
    history = [(one["kind"], one["version"], showing.moment(one["confirmed_at_ms"])) for one in answer["history"]]
    showing.table(console, ("kind", "version", "confirmed"), history, title="history")


def _chargers(console: Console, answer: Any) -> None:
    rows = [
        (one["number"], one["device_id"], one["site_id"], one["product"], one["hardware"], one["quarantine"])
        for one in answer["chargers"]
    ]
    showing.table(console, ("number", "charger", "site", "product", "hardware", "quarantine"), rows)


DEEDS: Sequence[Deed] = (
    Deed("register-sites", "Register or change sites.", _register("sites"), _registered, _file),
    Deed("register", "Register or change chargers.", _register("chargers"), _registered, _file),
    Deed("token", "A one-time token for enrolment.", _token, _issued, _tokened),
    Deed("list", "Registered chargers.", _list, _chargers, _listing, changes=False),
    Deed(
        "show",
        "All that is known of a charger.",
        lambda parsed: Call("GET", f"/fleet/chargers/{parsed.charger}"),
        _sheet,
        _charger,
        changes=False,
    ),
    Deed("out-of-service", "It is out of service.", _act("out-of-service"), showing.outcome, _reasoned),
    Deed("back-in-service", "It is back.", _act("back-in-service"), showing.outcome, _reasoned),
    Deed("isolate", "No install permits for these.", _isolate, showing.outcome, _isolating),
    Deed("reenable", "End a quarantine: two persons.", _act("reenable"), showing.outcome, _reasoned),
    Deed("latch", "Stop install permits in a scope.", _latch(""), showing.outcome, _scoped),
    Deed("unlatch", "Lift a latch: two persons.", _latch("/lift"), showing.outcome, _scoped),
)


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    return run("tidegate fleet", "Register chargers and look after them.", DEEDS, arguments)
