"""The catalogue: signed releases and the numbers of the repository, verified exactly as a charger verifies them.

It answers from memory; `refresh` and the first look at a release go to the repository. It decides nothing about
rollouts: a revoked release is found, and its digest stands among the facts.

Rules:
1. Only what `otacore.trust` verified is answered, and every part of a release is a target of its manifest's own role.
2. The facts of a product are exchanged whole, after stop list, floor and revocations were all verified in one refresh.
3. A failed refresh leaves the facts as they were: they only say what permits name as the newest known. One product
   whose role expired or whose files do not verify keeps its old facts; the others go on.
"""

import threading
from collections.abc import Iterable

import structlog

from otacore.clock import Clock
from otacore.errors import Refused, Unavailable
from otacore.ids import (
    CAMPAIGN_ROLE,
    CONFIG_ROLE,
    STOP_PATH,
    config_manifest_path,
    firmware_manifest_path,
    firmware_role,
    floor_path,
    require_slug,
    revoked_path,
)
from otacore.trust import TrustedRepository, VerifiedTarget
from otacore.wire.campaign import StopList
from otacore.wire.codec import MAX_WIRE_BYTES, decode
from otacore.wire.policy import Floor, Revoked
from otacore.wire.release import ReleaseKind, ReleaseManifest
from rollout.domain.records import Release
from rollout.service.ports import RepositoryFacts

MAX_LIST_BYTES = 2 * 1024 * 1024
"""Stop and revocation lists: 10,000 digests of 64 digits."""
MAX_PRODUCTS = 1000
_log = structlog.get_logger("rollout.catalogue")


class TrustCatalogue:
    """The port `Catalogue` over `otacore.trust`. One process uses its directory."""

    def __init__(self, *, trusted: TrustedRepository, clock: Clock) -> None:
        self._trusted = trusted
        self._clock = clock
        self._turn = threading.Lock()
        self._products: set[str] = set()
        self._facts: dict[str, RepositoryFacts] = {}
        self._releases: dict[tuple[str, ReleaseKind, str], Release] = {}

    def find(self, *, product: str, kind: ReleaseKind, version: str) -> Release:
        """A published release; see the port."""
        known = self._releases.get((product, kind, version))
        if known is not None:
            return known
        path = _manifest_path(product, kind, version)
        with self._turn:
            self._trusted.refresh(now_ms=self._clock.now_ms())  # what was just published was not there before
            release = self._read_release(path, product=product, kind=kind, version=version)
            failed = self._load_facts({product})
            if product in failed:
                raise failed[product]
            self._releases[product, kind, version] = release
        return release

    def facts(self, product: str) -> RepositoryFacts:
        """The newest verified numbers; see the port."""
        facts = self._facts.get(product)
        if facts is None:
            raise Unavailable("catalogue.not_loaded", "the repository was not verified yet; try again in some seconds")
        return facts

    def refresh(self, products: Iterable[str]) -> None:
        """Verify the repository anew, for these products and all that were asked for before.

        Raises: Unavailable("trust.unreachable"), Refused("trust.…"), Broken. What is wrong with one product is logged.
        """
        with self._turn:
            self._trusted.refresh(now_ms=self._clock.now_ms())
            for product, error in self._load_facts(products).items():
                _log.warning("product_not_verified", product=product, code=error.code, hint=error.hint)

    def _load_facts(self, products: Iterable[str]) -> dict[str, Refused]:
        """Take over what verifies; gives what was wrong with the products that do not."""
        wanted = self._products | {require_slug("product", product) for product in products}
        if len(wanted) > MAX_PRODUCTS:
            raise Refused("catalogue.too_many_products", f"at most {MAX_PRODUCTS} products are followed")
        root_version = self._trusted.root_version
        stop = decode(StopList, self._read(STOP_PATH, role=CAMPAIGN_ROLE), limit_bytes=MAX_LIST_BYTES)
        facts, failed = dict(self._facts), dict[str, Refused]()
        for product in sorted(wanted):
            try:
                facts[product] = self._product_facts(product, root_version=root_version, stop=stop)
            except Refused as error:
                failed[product] = error
        self._facts, self._products = facts, wanted & facts.keys()
        return failed

    def _product_facts(self, product: str, *, root_version: int, stop: StopList) -> RepositoryFacts:
        role = firmware_role(product)
        floor = decode(Floor, self._read(floor_path(product), role=role))
        revoked = decode(Revoked, self._read(revoked_path(product), role=role), limit_bytes=MAX_LIST_BYTES)
        return RepositoryFacts(
            root_version=root_version,
            stop_serial=stop.serial,
            floor_serial=floor.serial,
            revoked_serial=revoked.serial,
            stopped=frozenset(stop.stopped),
            revoked=frozenset(revoked.revoked),
        )

    def _read_release(self, path: str, *, product: str, kind: ReleaseKind, version: str) -> Release:
        role = firmware_role(product) if kind is ReleaseKind.FIRMWARE else CONFIG_ROLE
        try:
            target = self._trusted.target(path)
        except Refused as error:
            if error.code != "trust.no_such_target":
                raise
            raise Refused("catalogue.no_such_release", error.hint) from error
        manifest = decode(ReleaseManifest, self._read(path, role=role))
        if (manifest.product, manifest.kind, manifest.version) != (product, kind, version):
            raise Refused("catalogue.wrong_manifest", f"{path} describes another release: publish it again")
        if len(manifest.parts) != 1:
            raise Refused("catalogue.not_one_part", f"{path} names {len(manifest.parts)} files; chargers take one")
        for part in manifest.parts:
            _require_same(self._trusted.target(part.path), role=role, sha256=part.sha256, length=part.length_bytes)
        _log.info("release_found", product=product, version=version, release_digest=target.sha256)
        return _release(target, manifest)

    def _read(self, path: str, *, role: str) -> bytes:
        target = self._trusted.target(path)
        if target.role != role:
            raise Refused("catalogue.wrong_role", f"{path} is signed by {target.role}, not by {role}")
        return self._trusted.read(path, limit_bytes=max(MAX_LIST_BYTES, MAX_WIRE_BYTES))


def _manifest_path(product: str, kind: ReleaseKind, version: str) -> str:
    if kind is ReleaseKind.FIRMWARE:
        return firmware_manifest_path(product, version)
    return config_manifest_path(product, version)


def _require_same(target: VerifiedTarget, *, role: str, sha256: str, length: int) -> None:
    if (target.role, target.sha256, target.length_bytes) != (role, sha256, length):
        raise Refused("catalogue.wrong_part", f"{target.path} is not what the manifest names: publish it again")


def _release(target: VerifiedTarget, manifest: ReleaseManifest) -> Release:
    return Release(
        digest=target.sha256,
        path=target.path,
        product=manifest.product,
        hardware=manifest.hardware,
        kind=manifest.kind,
        version=manifest.version,
        security_version=manifest.security_version,
        image_sha256=manifest.parts[0].sha256,
        pace=manifest.pace,
        revert_h=manifest.revert_h,
        from_versions=manifest.from_versions,
        stepping_stones=manifest.stepping_stones,
    )
