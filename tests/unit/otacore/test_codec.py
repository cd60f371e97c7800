"""The charger's strict parser, and that the server's pydantic reading of the same dataclasses agrees with it."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from otacore.errors import Refused
from otacore.ids import MAX_INTEGER
from otacore.wire.campaign import CampaignAction, CampaignManifest, StopList
from otacore.wire.codec import decode, encode
from otacore.wire.device_api import PollRequest
from otacore.wire.permit import Permit, PermitRequest, Purpose
from otacore.wire.policy import Floor, Revoked
from otacore.wire.release import DEFAULT_PACE, Part, ReleaseKind, ReleaseManifest
from otacore.wire.report import Fact, HealthEvent, Phase, Report, Running

DIGEST = "ab" * 32
RUNNING = Running(DIGEST, "cd" * 32, "1.0.0", 1, confirmed=True, other_digest=None)
MANIFEST = ReleaseManifest(
    product="acme-dc50",
    hardware=("rev-b", "rev-c"),
    kind=ReleaseKind.FIRMWARE,
    version="1.1.0",
    security_version=1,
    parts=(Part("firmware/acme-dc50/1.1.0/image.bin", 1000, DIGEST),),
    pace=DEFAULT_PACE,
    released_at_ms=1_700_000_000_000,
)
WRONG_VALUES: tuple[Any, ...] = (None, True, 1.5, -1, 2**60, "", "\u0000", [], {}, ["x"], "ab" * 32)
SAMPLES: tuple[Any, ...] = (
    MANIFEST,
    CampaignManifest(
        "r-1", 9, CampaignAction.HOLD, "firmware/a/1.0/manifest.json", DIGEST, 5, "00" * 16, ("0a" * 8,), 7
    ),
    StopList(3, (DIGEST,), 7),
    Floor("acme-dc50", 1, 0, "1.0.0"),
    Revoked("acme-dc50", 1, ()),
    PermitRequest("c-1", "r-1", DIGEST, 9, Purpose.INSTALL, "0b" * 16, "boot", 4),
    Permit("c-1", "r-1", DIGEST, 9, Purpose.RECOVER, "0b" * 16, 7, 30, 1, 2, 3, 4),
    PollRequest(Phase.IDLE, idle=True, window_open=True, running_digest=DIGEST, boot_id="boot", report_counter=3),
    Report(
        "c-1",
        4,
        "boot",
        Fact.STATE,
        Phase.IDLE,
        healthy=True,
        firmware=RUNNING,
        config=None,
        armed_nonce=None,
        events=(HealthEvent("h7", 5, "x"),),
    ),
)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_what_is_written_reads_back_equal(sample: Any) -> None:
    """A field lost on the way would be a promise lost on the way."""
    assert decode(type(sample), encode(sample)) == sample


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_server_and_charger_read_the_same_bytes_alike(sample: Any) -> None:
    """If the two readers differed, a message could mean one thing to the server and another to the charger."""
    plain = json.loads(encode(sample))
    cases = [plain, {**plain, "extra": 1}, *({k: v for k, v in plain.items() if k != gone} for gone in plain)]
    for name in plain:
        cases += [{**plain, name: value} for value in WRONG_VALUES]
    strict = TypeAdapter(with_config(ConfigDict(extra="forbid", strict=True))(type(sample)))
    for case in cases:
        data = json.dumps(case).encode()
        assert _device_reads(type(sample), data) == _server_reads(strict, data), case


def _device_reads(cls: type, data: bytes) -> Any:
    try:
        return decode(cls, data)
    except Refused:
        return "refused"


def _server_reads(adapter: TypeAdapter[Any], data: bytes) -> Any:
    try:
        return adapter.validate_json(data)
    except ValidationError:
        return "refused"


@given(st.binary(max_size=300))
def test_any_bytes_either_parse_or_are_refused(data: bytes) -> None:
    """Another exception from foreign bytes would be a crash that a stranger can cause."""
    with suppress(Refused):
        decode(PermitRequest, data)


@pytest.mark.parametrize(
    "data",
    [b"[" * 100_000, b'{"serial":1,"serial":2,"stopped":[],"issued_at_ms":1}', b'{"serial":NaN}', b"\xff", b"null"],
    ids=["deep", "doubled key", "NaN", "not UTF-8", "null"],
)
def test_tricks_with_json_are_refused(data: bytes) -> None:
    """Readers differ on these, so no message of ours may carry them."""
    with pytest.raises(Refused):
        decode(StopList, data)


def test_an_oversized_message_is_refused_unread() -> None:
    """A parser without a limit is a way to fill a charger's memory."""
    with pytest.raises(Refused, match="at most 10 are read"):
        decode(StopList, encode(StopList(1, (), 1)), limit_bytes=10)


def test_equal_values_give_equal_bytes() -> None:
    """The release digest is a hash of these bytes."""
    assert encode(MANIFEST) == encode(replace(MANIFEST))
    assert encode(MANIFEST) != encode(replace(MANIFEST, security_version=2))


@pytest.mark.parametrize(
    ("field", "value"),
    [("version", "1"), ("hardware", ()), ("parts", ()), ("pace", ()), ("pace", DEFAULT_PACE[::-1]), ("revert_h", 0)],
)
def test_a_release_manifest_that_makes_no_sense_cannot_be_made(field: str, value: Any) -> None:
    """A pace that shrinks or a release without parts must stop at the signer, not on a charger."""
    with pytest.raises(ValueError, match=r".+"):
        replace(MANIFEST, **{field: value})


def test_integers_that_readers_disagree_on_are_refused() -> None:
    """Beyond 2^53 - 1 some JSON readers round."""
    StopList(MAX_INTEGER, (), 0)
    with pytest.raises(ValueError, match="serial"):
        StopList(MAX_INTEGER + 1, (), 0)
