"""One example of every record of the rollout room, to be varied with `dataclasses.replace`."""

from otacore.wire.campaign import CampaignAction, CampaignManifest, CampaignOrder
from otacore.wire.permit import Purpose
from otacore.wire.release import DEFAULT_PACE, ReleaseKind
from otacore.wire.report import Fact, Phase, Running
from rollout.domain.evidence import enter
from rollout.domain.fleet import (
    Confirmation,
    Device,
    DeviceState,
    EnrolToken,
    Quarantine,
    ReportRow,
    Seen,
    Site,
    Window,
)
from rollout.domain.judge.draw import Candidate
from rollout.domain.judge.facts import Block
from rollout.domain.people import Approval, AuditEntry, Latch, Principal, Role
from rollout.domain.records import (
    Cleanness,
    DueKind,
    DueRow,
    Duty,
    HardEvent,
    Options,
    OutboxItem,
    Participation,
    PermitRow,
    Place,
    PlannedCharger,
    Release,
    Rollout,
    Selector,
    Stage,
    State,
    StoredVerdict,
    Wave,
)

DIGEST = "ab" * 32
OTHER_DIGEST = "cd" * 32
NONCE = "0b" * 16
SITE = Site("s-1", "city", 50, (Window(60, 120),), ("east",))
DEVICE = Device(
    "c-1",
    0,
    "s-1",
    "acme-dc50",
    "rev-a",
    50_000,
    ("fast",),
    public_key="ee" * 32,
    token_hash="ff" * 32,
    enrolled_at_ms=5,
    quarantine=Quarantine.OPERATOR,
    quarantined_at_ms=6,
)
RUNNING = Running(DIGEST, DIGEST, "1.0.0", 1, confirmed=True, other_digest=OTHER_DIGEST)
STATE = DeviceState(
    device_id="c-1",
    counter=4,
    boot_id="boot",
    phase=Phase.IDLE,
    healthy=True,
    firmware=RUNNING,
    config=None,
    armed_nonce=NONCE,
    received_at_ms=9,
    highest_firmware="1.0.0",
    failed_digests=(OTHER_DIGEST,),
)
CONFIRMATION = Confirmation("c-1", ReleaseKind.FIRMWARE, 1, DIGEST, "1.0.0", 7)
REPORT = ReportRow("c-1", 4, DIGEST, Fact.KEPT, 9)
SEEN = Seen("c-1", 100, idle=True, window_open=False)
TOKEN = EnrolToken("aa" * 32, "c-1", 1_000, "dd" * 32, "ee" * 32)
RELEASE = Release(
    DIGEST,
    "firmware/acme-dc50/1.1.0/manifest.json",
    "acme-dc50",
    ("rev-a", "rev-b"),
    ReleaseKind.FIRMWARE,
    "1.1.0",
    2,
    OTHER_DIGEST,
    DEFAULT_PACE,
    336,
    ("1.0.0",),
    ("0.9.0",),
    stopped_at_ms=3,
)
ROLLOUT = Rollout(
    rollout_id="r-1",
    release_digest=DIGEST,
    product="acme-dc50",
    kind=ReleaseKind.FIRMWARE,
    state=State.RUNNING,
    epoch=9,
    published_epoch=8,
    wave=1,
    salt="00" * 16,
    draw_salt="11" * 32,
    selector=Selector(("s-1",), ("city",), ("fast",), ("old",), (Window(0, 60),)),
    options=Options(),
    revision=1,
    created_by="anna",
    created_at_ms=10,
    state_since_ms=11,
    resume_to=State.RUNNING,
    question="go on?",
    unproven=True,
    held_since_ms=12,
    sweep_after="c-1",
)
WAVE = Wave("r-1", 1, 5, 2, 3, one_per_site=True, soak_s=60, selector=Selector(labels=("fast",)), opened_at_ms=20)
PLANNED = PlannedCharger("r-1", "c-1", 1, is_named=True, is_judged=True)
PARTICIPATION = Participation(
    rollout_id="r-1",
    device_id="c-1",
    site_id="s-1",
    kind=ReleaseKind.FIRMWARE,
    wave=1,
    release_digest=DIGEST,
    came_from=OTHER_DIGEST,
    stage=Stage.KEPT,
    nonce=NONCE,
    permitted_at_ms=30,
    changed_at_ms=31,
    block=1,
    confirmed_at_ms=None,
    cleanness=Cleanness.BAD,
    reason="why",
)
PERMIT = PermitRow(NONCE, "c-1", "r-1", DIGEST, 9, Purpose.INSTALL, 4, "boot", 30, 1, 2, 3, 4)
PLACE = Place("s-1", "c-1", "r-1", Purpose.INSTALL, 4, 30)
DUTY = Duty("c-1", "r-1", 1, 30, 90)
DUE = DueRow(50, "r-1", "c-1", DueKind.START)
MANIFEST = CampaignManifest("r-1", 9, CampaignAction.INSTALL, RELEASE.path, DIGEST, 5, "00" * 16, ("0a" * 8,), 7)
OUTBOX = OutboxItem("r-1", 9, CampaignOrder(MANIFEST, (DIGEST,)), 7, attempts=1, next_try_ms=8, error="campaign.x: why")
HARD = HardEvent("r-1", "c-1", "s-1", "ground_fault", 40)
VERDICT = StoredVerdict("r-1", 9, 1, 50, "{}", ("{}",))
PRINCIPAL = Principal("anna", Role.OPERATOR, is_person=True, token_hash="aa" * 32)
APPROVAL = Approval("ap-1", "resume", "r-1", "{}", DIGEST, 9, "why", "anna", 10, 100)
LATCH = Latch("fleet", "storm", "anna", 10)
AUDIT = AuditEntry(1, 10, "anna", "halt", "r-1", "{}", "00" * 32, DIGEST)


def block(number: int = 1, *, entered_at_ms: int = 30) -> Block:
    return enter(
        number=number,
        wave=1,
        stratum="acme-dc50/city",
        treated=Candidate("c-1", "s-1"),
        controls=(Candidate("c-2", "s-2"),),
        now_ms=entered_at_ms,
    )
