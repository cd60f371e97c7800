"""A signed repository in memory: real signer, real publisher, keys at hand, and every file open to an attacker.

Only the disk and the passphrases are left out: keys are made in memory, and the store is a `MemoryStore`.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner, Signer
from tuf.api.metadata import Metadata, MetaFile
from tuf.api.serialization.json import JSONSerializer

from otacore.clock import utc
from otacore.durable import MemoryStorage
from otacore.ids import CAMPAIGN_ROLE
from otacore.trust import Fetch, TrustedRepository
from otacore.wire.campaign import CampaignAction, CampaignManifest, CampaignOrder
from otacore.wire.codec import decode
from otacore.wire.release import DEFAULT_PACE, PaceStep, ReleaseKind, ReleaseManifest
from repository.domain.head import TIMESTAMP
from repository.service.checking import METADATA_URL, TARGETS_URL, Checker, StoreFetch
from repository.service.desk import CampaignDesk
from repository.service.ports import OnlineKeys, Store
from repository.service.publications import Publications
from repository.service.publisher import Draft, Publisher, TargetSource
from signer.adapters.ceremony_files import parse_template, template_text
from signer.domain.facts import FileFacts
from signer.domain.template import KeysKept
from signer.service.bundle import Bundle, Standing
from signer.service.ceremony import hold
from signer.service.signing import add_signature
from signer.service.staging import ReleaseFile, ReleaseSpec, facts_of_content, stage_release
from tests.fakes.hand_clock import HandClock
from tests.fakes.memory_store import FaultyStore, MemoryStore

PRODUCT = "acme-dc50"
FIRMWARE = f"firmware-{PRODUCT}"
START_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
EVERYBODY = (PaceStep(share=2**32, named=0, hours=0),)


class KeyRing:
    """A `KeyMaker` that keeps the keys in memory, by role."""

    def __init__(self) -> None:
        self.signers: dict[str, list[Signer]] = {}

    def make(self, *, kept: KeysKept, holder: str, role: str) -> Signer:
        signer = CryptoSigner.generate_ed25519()
        self.signers.setdefault(role, []).append(signer)
        return signer


class SignedWorld:
    """One repository after its first ceremony."""

    def __init__(self, directory: Path, *, store: Store | None = None) -> None:
        self.clock = HandClock(START_MS)
        self.memory = MemoryStore()
        self.store: Store = store or self.memory
        self.keys = KeyRing()
        self.directory = directory
        self._disks: dict[Path, MemoryStorage] = {}
        template = parse_template(template_text("demo"))
        made = hold(template=template, products=(PRODUCT,), keys=self.keys, now_ms=self.clock.now_ms())
        self.factory_root = made.root
        self.first = draft_of(made.bundle)
        self.publisher, self.desk = self.rival("first", self.store)
        if not isinstance(store, FaultyStore):
            self.publisher.publish(self.first)

    def rival(self, name: str, store: Store) -> tuple[Publisher, CampaignDesk]:
        """A publisher of this repository with a process memory of its own."""
        signers = self.keys.signers
        online = OnlineKeys(tuple(signers["campaign"]), tuple(signers["snapshot"]), tuple(signers["timestamp"]))
        checker = Checker(store=store, directory=self.directory / name)
        publisher = Publisher(store=store, keys=online, clock=self.clock, checker=checker)
        return publisher, CampaignDesk(publisher=publisher, checker=checker, clock=self.clock)

    def standing(self) -> Standing:
        """What a stager would read from the repository's folder."""
        log = Publications(self.store)
        newest = log.newest()
        assert newest is not None
        online = {"snapshot", "timestamp", CAMPAIGN_ROLE}
        roles = {row.role: log.role(newest.head, row.role) for row in newest.head.versions if row.role not in online}
        contents = {}
        firmware: Metadata[Any] = Metadata.from_bytes(roles[FIRMWARE])
        for path, info in firmware.signed.targets.items():
            if "/policy/" in path:
                folder, _, name = path.rpartition("/")
                contents[path] = self.store.read(f"targets/{folder}/{info.hashes['sha256']}.{name}") or b""
        return Standing(roles, contents)

    def stage(self, spec: ReleaseSpec, content: bytes) -> Bundle:
        """A staged bundle, unsigned, with the content inside."""
        file = ReleaseFile(FileFacts(len(content), facts_of_content(content).sha256), content)
        return stage_release(self.standing(), spec, file, now_ms=self.clock.now_ms())

    def stage_firmware(self, version: str, content: bytes) -> Bundle:
        """A staged firmware release, unsigned."""
        return self.stage(ReleaseSpec(product=PRODUCT, version=version, hardware=("rev-a",)), content)

    def signed(self, bundle: Bundle, *, holders: Sequence[int] = (0, 1)) -> Bundle:
        """The bundle signed by some holders of each of its roles."""
        for role in bundle.roles:
            for holder in holders:
                bundle = self.add(bundle, self.keys.signers[role][holder])
        return bundle

    def add(self, bundle: Bundle, signer: Signer) -> Bundle:
        """One more signature."""
        root = bundle.standing.roles["root"]
        return add_signature(bundle, signer=signer, trusted_root=root, now_ms=self.clock.now_ms())

    def publish(self, bundle: Bundle) -> None:
        """Publish a signed bundle."""
        self.publisher.publish(draft_of(bundle))

    def release(
        self,
        version: str,
        content: bytes = b"image",
        *,
        kind: ReleaseKind = ReleaseKind.FIRMWARE,
        pace: tuple[PaceStep, ...] = DEFAULT_PACE,
    ) -> "Released":
        """Stage, sign and publish."""
        spec = ReleaseSpec(product=PRODUCT, version=version, hardware=("rev-a",), kind=kind, pace=pace)
        bundle = self.signed(self.stage(spec, content))
        self.publish(bundle)
        path = next(path for path in bundle.contents if path.endswith("manifest.json"))
        return Released(path, facts_of_content(bundle.contents[path]).sha256, bundle.contents[path])

    def client(self, name: str, *, fetch: Fetch | None = None, factory_root: bytes | None = None) -> TrustedRepository:
        """A client with a memory of its own; the same name is the same charger after a reboot."""
        directory = self.directory / "clients" / name
        return TrustedRepository(
            directory=directory,
            factory_root=factory_root or self.factory_root,
            metadata_url=METADATA_URL,
            targets_url=TARGETS_URL,
            fetch=fetch or StoreFetch(self.store, {}),
            storage=self._disks.setdefault(directory, MemoryStorage()),
        )

    def pass_time(self, milliseconds: int) -> None:
        """Let time go by."""
        self.clock.advance(milliseconds)

    # What an attacker does, with the keys of the roles that fell into his hands.

    def forge(
        self,
        role: str,
        change: Callable[[Any], None],
        *,
        signers: Sequence[Signer] | None = None,
        base: bytes | None = None,
    ) -> bytes:
        """A role's file, changed in the next version and signed by whom the attacker likes."""
        log = Publications(self.store)
        newest = log.newest()
        assert newest is not None
        metadata: Metadata[Any] = Metadata.from_bytes(base or log.role(newest.head, role))
        metadata.signed.version += 1
        change(metadata.signed)
        metadata.signatures.clear()
        for signer in self.keys.signers[role] if signers is None else signers:
            metadata.sign(signer, append=True)
        return metadata.to_bytes(JSONSerializer(compact=True))

    def forge_online(
        self, changed: Mapping[str, bytes], *, versions: Mapping[str, int] | None = None
    ) -> dict[str, bytes]:
        """Files of a publication that names the given roles, signed with stolen snapshot and timestamp keys."""
        log = Publications(self.store)
        newest = log.newest()
        assert newest is not None
        now_ms = self.clock.now_ms()
        snapshot: Metadata[Any] = Metadata.from_bytes(log.role(newest.head, "snapshot"))
        timestamp: Metadata[Any] = Metadata.from_bytes(newest.head.timestamp.encode())
        files = {}
        for role, data in changed.items():
            version = Metadata.from_bytes(data).signed.version
            files[f"metadata/{version}.{role}.json"] = data
            if role != "root":
                snapshot.signed.meta[f"{role}.json"] = _meta(version, data)
        snapshot.signed.version = (versions or {}).get("snapshot", snapshot.signed.version + 1)
        timestamp.signed.version = (versions or {}).get("timestamp", timestamp.signed.version + 1)
        for metadata, role in ((snapshot, "snapshot"), (timestamp, "timestamp")):
            metadata.signed.expires = utc(now_ms).replace(microsecond=0) + timedelta(days=1)
            metadata.signatures.clear()
            if role == "timestamp":
                data = files[f"metadata/{snapshot.signed.version}.snapshot.json"]
                timestamp.signed.snapshot_meta = _meta(snapshot.signed.version, data)
            metadata.sign(self.keys.signers[role][0])
            name = TIMESTAMP if role == "timestamp" else f"metadata/{snapshot.signed.version}.snapshot.json"
            files[name] = metadata.to_bytes(JSONSerializer(compact=True))
        return files


class Released:
    """A published release."""

    def __init__(self, path: str, digest: str, manifest: bytes) -> None:
        self.path = path
        self.digest = digest
        self.manifest = decode(ReleaseManifest, manifest)

    def order(
        self,
        rollout_id: str,
        *,
        epoch: int,
        share: int = 0,
        named: Sequence[str] = (),
        action: CampaignAction = CampaignAction.INSTALL,
        stop: tuple[str, ...] = (),
        issued_at_ms: int = START_MS,
    ) -> CampaignOrder:
        """An order to publish a campaign manifest of this release."""
        manifest = CampaignManifest(
            rollout_id=rollout_id,
            epoch=epoch,
            action=action,
            release_path=self.path,
            release_digest=self.digest,
            share=share,
            salt="00" * 16,
            named=tuple(sorted(named)),
            issued_at_ms=issued_at_ms,
        )
        return CampaignOrder(manifest, stop)


class Served:
    """A frozen copy of everything that a mirror shows, to be served again later or changed file by file."""

    def __init__(self, store: MemoryStore) -> None:
        self.files = copy.copy(store.content)

    def __call__(self, url: str, *, limit_bytes: int) -> bytes | None:
        data = self.files.get(url.removeprefix("repository:/"))
        return None if data is None else data[: limit_bytes + 1]


def draft_of(bundle: Bundle) -> Draft:
    """A bundle as something to publish."""
    sources = tuple(TargetSource(path, bundle.files[path].sha256, (data,)) for path, data in bundle.contents.items())
    return Draft(bundle.roles, sources)


def _meta(version: int, data: bytes) -> MetaFile:
    return MetaFile(version=version, length=len(data), hashes={"sha256": facts_of_content(data).sha256})
