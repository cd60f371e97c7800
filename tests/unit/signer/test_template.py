"""Ceremony templates: what ships can be used, and no template can loosen the thresholds."""

import tomllib
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from otacore.errors import Refused
from signer.adapters.ceremony_files import parse_template, template_text
from signer.domain.template import OFFLINE_ROLES, STANDARD_LIFE_H, KeysKept, longest_life_h, parse

Change = Callable[[dict[str, Any]], object]
DEMO = tomllib.loads(template_text("demo").decode())


@pytest.mark.parametrize("name", ["demo", "production"])
def test_templates_that_ship_keep_the_design(name: str) -> None:
    """Otherwise the first ceremony of a newcomer would fail, or make keys that one thief can use."""
    template = parse_template(template_text(name))
    for row in template.roles:
        assert (row.kept is KeysKept.OFFLINE) == (row.role in OFFLINE_ROLES)
        assert row.threshold >= 2 or row.kept is KeysKept.ONLINE
        assert row.role == "permit" or row.life_h == STANDARD_LIFE_H[row.role]
    assert not set(template.role("permit").holders) & set(template.role("campaign").holders)


REFUSED: dict[str, Change] = {
    "one signature for root": lambda plain: plain["roles"]["root"].update(threshold=1),
    "more signatures than holders": lambda plain: plain["roles"]["root"].update(threshold=4),
    "threshold zero": lambda plain: plain["roles"]["config"].update(threshold=0),
    "threshold as text": lambda plain: plain["roles"]["config"].update(threshold="2"),
    "threshold as truth": lambda plain: plain["roles"]["timestamp"].update(threshold=True),
    "firmware keys online": lambda plain: plain["roles"]["firmware"].update(keys="online"),
    "a holder twice": lambda plain: plain["roles"]["root"].update(holders=["anna", "anna", "boris"]),
    "nobody": lambda plain: plain["roles"]["root"].update(holders=[]),
    "a name that is a path": lambda plain: plain["roles"]["root"].update(holders=["../anna", "boris"]),
    "more than twice the life": lambda plain: plain["roles"]["timestamp"].update(expires_days=3),
    "no life at all": lambda plain: plain["roles"]["timestamp"].update(expires_days=0),
    "a role too few": lambda plain: plain["roles"].pop("permit"),
    "a role too many": lambda plain: plain["roles"].update(mirror=plain["roles"]["root"]),
    "a key too many": lambda plain: plain["roles"]["root"].update(secret="x"),
    "something else beside the roles": lambda plain: plain.update(name="x"),
    "permit key on the repository's host": lambda plain: plain["roles"]["permit"].update(holders=["repository"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_loosened_template_is_refused(name: str) -> None:
    """Otherwise one line of a file would undo what the thresholds promise."""
    plain = deepcopy(DEMO)
    REFUSED[name](plain)
    with pytest.raises(Refused, match=r"signer\.bad_template|name\.invalid"):
        parse(plain)


@pytest.mark.parametrize("text", [b"roles = [", b"\xff\xfe", b"roles = 3", b""])
def test_what_is_no_template_is_refused(text: bytes) -> None:
    """Otherwise a wrong file would end in a traceback."""
    with pytest.raises(Refused, match=r"signer\.bad_template"):
        parse_template(text)


def test_an_unknown_template_is_told() -> None:
    """Otherwise a misspelt name would look like a broken installation."""
    with pytest.raises(Refused, match="neither a template of ours"):
        template_text("prodution")


def test_every_product_has_the_firmware_life() -> None:
    """Otherwise a product's role would have no bound on its expiry."""
    assert longest_life_h("firmware-acme-dc50") == 2 * 365 * 24
