"""The repository as the agent asks for it: verified facts of one refresh, and the bytes of verified targets.

`otacore.trust` verifies; this file reads names from it, decodes the small files and streams the large ones. It holds no
rule about what may be installed: the agent's checks decide upon the findings.

Rules:
1. A policy file that is not published is None in the findings, never an empty list.
2. A small file is fetched once per content: it is kept in memory under the hash that the metadata names.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from securesystemslib.signer import Key

from device_client.adapters.download import Downloader
from device_client.domain.findings import Findings, FoundRelease, FoundTarget, Policies
from otacore.clock import Clock
from otacore.errors import Refused
from otacore.ids import STOP_PATH, RolloutId, campaign_path, floor_path, revoked_path
from otacore.trust import TrustedRepository, VerifiedTarget
from otacore.wire.campaign import CampaignManifest, StopList
from otacore.wire.codec import decode
from otacore.wire.policy import Floor, Revoked
from otacore.wire.release import ReleaseKind, ReleaseManifest

T = TypeVar("T")

MAX_SMALL_BYTES = 1024 * 1024
"""Largest manifest or policy file; a list of 10,000 digests is about 670 kB."""
MAX_KEPT_FILES = 8
STRETCH_LIMIT_MS = 10_000
"""On a slow link a stretch ends after this, so that what came is recorded and the server is asked again."""


class SignedRepository:
    """The `Repository` port."""

    def __init__(self, trust: TrustedRepository, downloader: Downloader, *, product: str, clock: Clock) -> None:
        self._trust = trust
        self._downloader = downloader
        self._product = product
        self._clock = clock
        self._kept: dict[str, bytes] = {}

    def look_up(
        self,
        rollout_id: RolloutId | None,
        kind: ReleaseKind | None,  # noqa: ARG002 -- the campaign manifest names the release, and its path the kind
        *,
        now_ms: int,
    ) -> Findings:
        """Raises: Unavailable, Refused, Broken."""
        self._trust.refresh(now_ms=now_ms)
        campaign = None if rollout_id is None else self._small(CampaignManifest, campaign_path(rollout_id))
        release = None if campaign is None else self._release(campaign.release_path)
        stop = self._small(StopList, STOP_PATH)
        floor = self._small(Floor, floor_path(self._product))
        revoked = self._small(Revoked, revoked_path(self._product))
        policies = Policies(
            root_version=self._trust.root_version,
            # Read last: looking a target up verifies the role that signs it, which may expire first.
            expires_at_ms=self._trust.fresh_until_ms,
            stop=stop,
            floor=floor,
            revoked=revoked,
        )
        return Findings(policies=policies, campaign=campaign, release=release)

    def pieces(self, path: str, *, offset_bytes: int, limit_bytes: int) -> Iterator[bytes]:
        """Raises: Unavailable, Refused("trust.…")."""
        target = self._trust.target(path)
        began_ms = self._clock.monotonic_ms()
        for piece in self._downloader.pieces(
            self._trust.url_of(target),
            offset_bytes=offset_bytes,
            limit_bytes=limit_bytes,
            length_bytes=target.length_bytes,
        ):
            yield piece
            if self._clock.monotonic_ms() - began_ms >= STRETCH_LIMIT_MS:
                return

    def permit_keys(self) -> Sequence[Key]:
        return self._trust.permit_keys()

    def _release(self, path: str) -> FoundRelease | None:
        target = self._target(path)
        if target is None:
            return None
        manifest = decode(ReleaseManifest, self._content(target))
        parts = tuple(_found(self._target(part.path)) for part in manifest.parts)
        return FoundRelease(manifest=manifest, target=_known(target), parts=parts)

    def _small(self, cls: type[T], path: str) -> T | None:
        target = self._target(path)
        return None if target is None else decode(cls, self._content(target), limit_bytes=MAX_SMALL_BYTES)

    def _target(self, path: str) -> VerifiedTarget | None:
        try:
            return self._trust.target(path)
        except Refused as error:
            if error.code == "trust.no_such_target":
                return None
            raise

    def _content(self, target: VerifiedTarget) -> bytes:
        kept = self._kept.pop(target.sha256, None)
        content = self._trust.read(target.path, limit_bytes=MAX_SMALL_BYTES) if kept is None else kept
        self._kept[target.sha256] = content
        while len(self._kept) > MAX_KEPT_FILES:
            self._kept.pop(next(iter(self._kept)))
        return content


def _found(target: VerifiedTarget | None) -> FoundTarget | None:
    return None if target is None else _known(target)


def _known(target: VerifiedTarget) -> FoundTarget:
    return FoundTarget(path=target.path, length_bytes=target.length_bytes, sha256=target.sha256, role=target.role)
