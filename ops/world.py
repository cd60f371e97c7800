"""A whole signed world in one directory: keys, repository, campaign signer. For the embedded stack, the demo and tests.

What it is: the functions of signer and repository, put together in one process; releases go through the same folders
that a person carries on a stick. What it gives up: offline keys lie on the same disk as online ones, and both hosts are
one (docs/trust.md says what that costs).

Layout: `keys/` (what the first ceremony wrote), `repository/` (metadata, targets, head.json), `check/` (scratch),
`staged/` (bundles as they were signed).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from securesystemslib.signer import Signer
from starlette.types import ASGIApp

from ops.repository_room import RepositoryRoom, open_room, publish_bundle
from otacore.clock import Clock
from otacore.trust import Fetch, TrustedRepository
from otacore.wire.codec import decode
from otacore.wire.release import DEFAULT_PACE, DEFAULT_REVERT_H, PaceStep, ReleaseKind, ReleaseManifest
from repository.api.static import static_app
from repository.service.checking import METADATA_URL, TARGETS_URL, StoreFetch
from repository.service.desk import CampaignDesk
from signer.adapters.bundle_files import measure, read_bundle, write_bundle, write_signatures
from signer.adapters.ceremony_files import FIRST_BUNDLE, TEMPLATE, TRUSTED_ROOT, hold_ceremony, parse_template
from signer.adapters.key_files import KeyFolder, open_signer, uri_of
from signer.adapters.standing_files import read_standing
from signer.domain.template import KeysKept, Template, family
from signer.service.bundle import Bundle
from signer.service.signing import add_signature
from signer.service.staging import ReleaseSpec, stage_floor, stage_release, stage_renewal, stage_revocation

DEFAULT_HARDWARE = ("rev-a",)
MAX_PRODUCTS = 64


@dataclass(frozen=True, slots=True)
class PublishedRelease:
    """A release that stands published."""

    path: str
    """Target path of its manifest."""
    digest: str
    manifest: ReleaseManifest


class World:
    """Everything signed, in one directory; open it with `make_world`."""

    def __init__(
        self,
        directory: Path,
        *,
        room: RepositoryRoom,
        template: Template,
        keys: KeyFolder,
        clock: Clock,
        passphrase: str,
    ) -> None:
        self._directory = directory
        self._room = room
        self._template = template
        self._keys = keys
        self._clock = clock
        self._passphrase = passphrase

    @property
    def room(self) -> RepositoryRoom:
        """Publisher, store and desk."""
        return self._room

    @property
    def campaign_desk(self) -> CampaignDesk:
        """The campaign signer."""
        return self._room.desk

    @property
    def factory_root(self) -> bytes:
        """The first root, which chargers carry."""
        return (self._room.metadata / "1.root.json").read_bytes()

    @property
    def permit_key_uri(self) -> str:
        """URI of the permit key, for the rollout host."""
        return uri_of(
            self._keys.path(kept=KeysKept.ONLINE, holder=self._template.role("permit").holders[0], role="permit")
        )

    @property
    def permit_signer(self) -> Signer:
        """The permit key itself."""
        return open_signer(self.permit_key_uri, passphrase=lambda _name: self._passphrase)

    def static_app(self) -> ASGIApp:
        """Serves `metadata/` and `targets/`; mount it where the repository's URLs begin."""
        return static_app(self._room.directory)

    def client(self, directory: Path, *, base_url: str | None = None, fetch: Fetch | None = None) -> TrustedRepository:
        """A client as chargers have one; by default it reads the store itself, without HTTP."""
        base = None if base_url is None else base_url.rstrip("/")
        return TrustedRepository(
            directory=directory,
            factory_root=self.factory_root,
            metadata_url=METADATA_URL if base is None else f"{base}/metadata/",
            targets_url=TARGETS_URL if base is None else f"{base}/targets",
            fetch=fetch or StoreFetch(self._room.store, {}),
        )

    def release_firmware(
        self,
        product: str,
        version: str,
        image: bytes | Path,
        *,
        hardware: Sequence[str] = DEFAULT_HARDWARE,
        security_version: int = 0,
        pace: Sequence[PaceStep] = DEFAULT_PACE,
        from_versions: Sequence[str] = (),
        stepping_stones: Sequence[str] = (),
        revert_h: int = DEFAULT_REVERT_H,
    ) -> PublishedRelease:
        """Stage, sign with as many holders as needed, and publish a firmware image."""
        spec = ReleaseSpec(
            product=product,
            version=version,
            hardware=tuple(hardware),
            security_version=security_version,
            pace=tuple(pace),
            revert_h=revert_h,
            from_versions=tuple(from_versions),
            stepping_stones=tuple(stepping_stones),
        )
        return self.release(spec, image)

    def release_config(
        self,
        product: str,
        version: str,
        configuration: bytes | Path,
        *,
        hardware: Sequence[str] = DEFAULT_HARDWARE,
        pace: Sequence[PaceStep] = DEFAULT_PACE,
    ) -> PublishedRelease:
        """Stage, sign and publish a configuration (a JSON object)."""
        spec = ReleaseSpec(
            product=product, version=version, hardware=tuple(hardware), kind=ReleaseKind.CONFIG, pace=tuple(pace)
        )
        return self.release(spec, configuration)

    def release(self, spec: ReleaseSpec, content: bytes | Path) -> PublishedRelease:
        """Stage, sign and publish whatever the spec says."""
        file = self._as_file(content)
        measured = measure(file)
        bundle = stage_release(read_standing(self._room.directory), spec, measured, now_ms=self._clock.now_ms())
        self._sign_and_publish(bundle, images=dict.fromkeys(bundle.files, file))
        path = next(path for path in bundle.contents if path.endswith("manifest.json"))
        data = bundle.contents[path]
        return PublishedRelease(path, sha256(data).hexdigest(), decode(ReleaseManifest, data))

    def raise_floor(self, product: str, *, security_version: int, from_version: str) -> None:
        """Sign and publish a higher security floor."""
        now_ms = self._clock.now_ms()
        standing = read_standing(self._room.directory)
        self._sign_and_publish(
            stage_floor(
                standing, product=product, security_version=security_version, from_version=from_version, now_ms=now_ms
            )
        )

    def revoke(self, product: str, *digests: str) -> None:
        """Sign and publish that releases must never be installed again."""
        standing = read_standing(self._room.directory)
        self._sign_and_publish(
            stage_revocation(standing, product=product, digests=digests, now_ms=self._clock.now_ms())
        )

    def renew(self, role: str) -> None:
        """Sign and publish a role again with a later expiry."""
        standing = read_standing(self._room.directory)
        self._sign_and_publish(stage_renewal(standing, role=role, now_ms=self._clock.now_ms()))

    def refresh_online(self) -> tuple[str, ...]:
        """Sign online roles anew that are half through their life; call it from a timer."""
        return self._room.publisher.refresh_online()

    def _sign_and_publish(self, bundle: Bundle, *, images: dict[str, Path] | None = None) -> None:
        ((role, _),) = bundle.roles.items()
        folder = self._directory / "staged" / f"{role}-{sha256(bundle.roles[role]).hexdigest()[:16]}"
        write_bundle(folder, bundle, images=images)
        row = self._template.role(family(role))
        for holder in row.holders[: row.threshold]:
            self._sign(folder, uri_of(self._keys.path(kept=row.kept, holder=holder, role=role)))
        publish_bundle(self._room, folder, now_ms=self._clock.now_ms())

    def _sign(self, folder: Path, uri: str) -> None:
        signer = open_signer(uri, passphrase=lambda _name: self._passphrase)
        root = (self._directory / "keys" / TRUSTED_ROOT).read_bytes()
        bundle = read_bundle(folder)
        write_signatures(folder, add_signature(bundle, signer=signer, trusted_root=root, now_ms=self._clock.now_ms()))

    def _as_file(self, content: bytes | Path) -> Path:
        if isinstance(content, Path):
            return content
        folder = self._directory / "staged"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{sha256(content).hexdigest()}.bin"
        file.write_bytes(content)
        return file


def make_world(
    directory: Path, *, passphrase: str, clock: Clock, template: str = "demo", products: Sequence[str] = ("acme-dc50",)
) -> World:
    """Open a world; a new one begins with the first ceremony and its publication."""
    keys = directory / "keys"

    def secret(_name: str) -> str:
        return passphrase

    if not (keys / TEMPLATE).is_file():
        hold_ceremony(keys, template=template, products=products, passphrase=secret, now_ms=clock.now_ms())
    room = open_room(directory / "repository", keys=keys, check=directory / "check", clock=clock, passphrase=secret)
    if not (room.metadata / "timestamp.json").is_file():
        publish_bundle(room, keys / FIRST_BUNDLE, now_ms=clock.now_ms())
    return World(
        directory,
        room=room,
        template=parse_template((keys / TEMPLATE).read_bytes()),
        keys=KeyFolder(keys, passphrase=secret),
        clock=clock,
        passphrase=passphrase,
    )
