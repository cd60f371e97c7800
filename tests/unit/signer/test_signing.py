"""Staging, reviewing and signing on a whole world in memory: one signature per call, and what stands must be proven."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner, Key, Signature, Signer
from tuf.api.metadata import Metadata

from otacore.errors import Misuse, Refused, Unavailable
from otacore.ids import firmware_image_path, floor_path, revoked_path
from otacore.wire.codec import decode
from otacore.wire.policy import Floor, Revoked
from otacore.wire.release import ReleaseKind
from signer.adapters.ceremony_files import parse_template, template_text
from signer.domain.facts import FileFacts
from signer.service.bundle import Bundle, facts_of, parse
from signer.service.ceremony import hold
from signer.service.signing import add_signature, authorised_keys, require_complete, review
from signer.service.staging import ReleaseSpec, stage_floor, stage_renewal, stage_revocation
from tests.fakes.signed_world import DAY_MS, FIRMWARE, PRODUCT, START_MS, KeyRing, SignedWorld

SPEC = ReleaseSpec(product=PRODUCT, version="1.1.0", hardware=("rev-a",))


@pytest.fixture
def world(tmp_path: Path) -> SignedWorld:
    return SignedWorld(tmp_path)


def _complete(world: SignedWorld, bundle: Bundle) -> bool:
    root = bundle.standing.roles["root"]
    return review(bundle, trusted_root=root, now_ms=world.clock.now_ms()).complete


def test_the_threshold_is_collected_signature_by_signature(world: SignedWorld) -> None:
    """Otherwise one holder could finish a release alone, or two could not."""
    bundle = world.stage(SPEC, b"image")
    assert not _complete(world, bundle)
    one = world.add(bundle, world.keys.signers[FIRMWARE][0])
    assert not _complete(world, one)
    assert _complete(world, world.add(one, world.keys.signers[FIRMWARE][2]))


def test_the_same_key_twice_counts_once(world: SignedWorld) -> None:
    """Otherwise one holder could sign twice and be two."""
    bundle = world.stage(SPEC, b"image")
    for _ in range(2):
        bundle = world.add(bundle, world.keys.signers[FIRMWARE][0])
    with pytest.raises(Refused, match=r"signer\.threshold_unmet.*1 of 2"):
        require_complete(review(bundle, trusted_root=bundle.standing.roles["root"], now_ms=START_MS))


@pytest.mark.parametrize("role", ["config", "root", "targets", "timestamp", "campaign"])
def test_a_key_of_another_role_signs_nothing(world: SignedWorld, role: str) -> None:
    """Otherwise the configuration team, or the repository host, could sign code."""
    with pytest.raises(Refused, match=r"signer\.key_not_authorised"):
        world.add(world.stage(SPEC, b"image"), world.keys.signers[role][0])


def test_a_bundle_on_a_base_that_is_not_proven_is_refused(world: SignedWorld) -> None:
    """Otherwise a staging machine could show an older or invented state and have its difference signed."""
    bundle = world.stage(SPEC, b"image")
    stranger = CryptoSigner.generate_ed25519()
    for role in ("targets", FIRMWARE):
        forged = world.forge(role, lambda signed: None, signers=[stranger])
        standing = replace(bundle.standing, roles={**bundle.standing.roles, role: forged})
        with pytest.raises(Refused, match=r"signer\.not_proven"):
            world.add(replace(bundle, standing=standing), world.keys.signers[FIRMWARE][0])


def test_a_root_that_the_holder_does_not_trust_is_refused(world: SignedWorld) -> None:
    """Otherwise a whole invented repository could be put before a holder."""
    bundle = world.stage(SPEC, b"image")
    ring = KeyRing()
    template = parse_template(template_text("demo"))
    other = hold(template=template, products=(PRODUCT,), keys=ring, now_ms=START_MS)
    with pytest.raises(Refused, match=r"signer\.not_proven"):
        add_signature(bundle, signer=world.keys.signers[FIRMWARE][0], trusted_root=other.root, now_ms=START_MS)


def test_a_successor_of_the_trusted_root_is_believed(world: SignedWorld) -> None:
    """Otherwise every holder would need a new root file on the day of a rotation."""
    old_root = world.factory_root
    newer = world.forge("root", lambda root: None)
    bundle = world.stage(SPEC, b"image")
    standing = replace(bundle.standing, roles={**bundle.standing.roles, "root": newer})
    signed = add_signature(
        replace(bundle, standing=standing),
        signer=world.keys.signers[FIRMWARE][0],
        trusted_root=old_root,
        now_ms=START_MS,
    )
    assert signed.roles != bundle.roles


def test_a_root_that_did_not_sign_itself_is_refused(world: SignedWorld) -> None:
    """Otherwise a root whose new keys nobody proved to hold would be believed."""

    def other_keys(root: Any) -> None:
        for signer in world.keys.signers["root"]:
            root.revoke_key(signer.public_key.keyid, "root")
            root.add_key(CryptoSigner.generate_ed25519().public_key, "root")

    half = world.forge("root", other_keys)
    bundle = world.stage(SPEC, b"image")
    standing = replace(bundle.standing, roles={**bundle.standing.roles, "root": half})
    with pytest.raises(Refused, match=r"signer\.not_proven"):
        add_signature(
            replace(bundle, standing=standing),
            signer=world.keys.signers[FIRMWARE][0],
            trusted_root=world.factory_root,
            now_ms=START_MS,
        )


def test_a_forged_policy_as_it_stands_is_refused(world: SignedWorld) -> None:
    """Otherwise a staging machine could say that the floor stood lower, and have it fall."""
    bundle = world.stage(SPEC, b"image")
    path = floor_path(PRODUCT)
    lower = bundle.standing.contents[path].replace(b'"serial":1', b'"serial":9')
    standing = replace(bundle.standing, contents={**bundle.standing.contents, path: lower})
    with pytest.raises(Refused, match=r"signer\.not_proven"):
        world.add(replace(bundle, standing=standing), world.keys.signers[FIRMWARE][0])


def test_a_signature_that_does_not_fit_counts_for_nothing(world: SignedWorld) -> None:
    """Otherwise anybody could write signatures under the names of the holders."""
    bundle = world.stage(SPEC, b"image")
    metadata = parse(FIRMWARE, bundle.roles[FIRMWARE])
    for signer in world.keys.signers[FIRMWARE]:
        metadata.signatures[signer.public_key.keyid] = Signature(signer.public_key.keyid, "00" * 64)
    assert not _complete(world, bundle.with_role(FIRMWARE, metadata.to_bytes()))


def test_a_bundle_without_a_base_is_refused(world: SignedWorld) -> None:
    """Otherwise leaving the base out would pass for a first ceremony and switch every comparison off."""
    bundle = world.stage(SPEC, b"image")
    signer, root = world.keys.signers[FIRMWARE][0], bundle.standing.roles["root"]
    bases: tuple[dict[str, bytes], ...] = (
        {},
        {"root": root},
        {"root": root, FIRMWARE: bundle.standing.roles[FIRMWARE]},
    )
    for roles in bases:
        baseless = replace(bundle, standing=replace(bundle.standing, roles=roles))
        with pytest.raises(Refused, match=r"signer\.not_proven"):
            add_signature(baseless, signer=signer, trusted_root=root, now_ms=START_MS)


def test_a_bundle_whose_files_are_not_what_the_metadata_says_is_refused(world: SignedWorld) -> None:
    """Otherwise a stick could carry another image than the one that was signed."""
    bundle = world.stage(SPEC, b"image")
    path = firmware_image_path(PRODUCT, "1.1.0")
    other = {**bundle.files, path: FileFacts(5, "ab" * 32)}
    gone = {name: facts for name, facts in bundle.files.items() if name != path}
    for files, code in ((other, "signer.file_tampered"), (gone, "signer.file_missing")):
        with pytest.raises(Refused, match=code):
            world.add(replace(bundle, files=files), world.keys.signers[FIRMWARE][0])


def test_metadata_that_is_none_is_refused(world: SignedWorld) -> None:
    """Otherwise a wrong file would end in a traceback before a holder."""
    bundle = world.stage(SPEC, b"image")
    for wrong in (b"", b"{}", b"\xff", bundle.standing.roles["root"]):
        with pytest.raises(Refused, match=r"signer\.bad_metadata"):
            world.add(bundle.with_role(FIRMWARE, wrong), world.keys.signers[FIRMWARE][0])


def test_an_unknown_product_is_told_at_staging(world: SignedWorld) -> None:
    """Otherwise holders would be asked to sign for a product that has no keys."""
    with pytest.raises(Refused, match=r"signer\.unknown_product"):
        world.stage(replace(SPEC, product="other-ac22"), b"image")
    with pytest.raises(Refused, match=r"signer\.unknown_product"):
        stage_floor(world.standing(), product="other-ac22", security_version=1, from_version="1.0.0", now_ms=START_MS)


@pytest.mark.parametrize(
    "changes",
    [
        {"hardware": ()},
        {"pace": ()},
        {"revert_h": 0},
        {"security_version": -1},
        {"security_version": 2**53},
        {"from_versions": ("one",)},
        {"hardware": ("REV A",)},
    ],
)
def test_a_release_that_cannot_be_said_is_refused(world: SignedWorld, changes: dict[str, Any]) -> None:
    """Otherwise a manifest would be signed that no charger can read."""
    with pytest.raises(Refused, match=r"signer\.not_valid"):
        world.stage(replace(SPEC, **changes), b"image")


@pytest.mark.parametrize("version", ["1", "1.0.0.0.0", "01.0", "v1.0", "1.0-rc1", ""])
def test_a_version_that_is_none_is_refused(world: SignedWorld, version: str) -> None:
    """Otherwise versions could not be compared."""
    with pytest.raises(Refused, match=r"name\.invalid"):
        world.stage(replace(SPEC, version=version), b"image")


def test_a_version_does_not_rise_twice(world: SignedWorld) -> None:
    """Otherwise an older image could be brought back as a release."""
    world.release("1.1.0")
    for version in ("1.1.0", "1.0.9", "1.1"):
        with pytest.raises(Refused, match=r"signer\.version_does_not_rise"):
            world.stage(replace(SPEC, version=version), b"image")


def test_configuration_is_json(world: SignedWorld) -> None:
    """Otherwise chargers would get a tariff that they cannot read."""
    spec = replace(SPEC, kind=ReleaseKind.CONFIG)
    with pytest.raises(Refused, match=r"signer\.bad_configuration"):
        world.stage(spec, b"cap = 16")
    assert world.stage(spec, b'{"cap_a": 16}').roles.keys() == {"config"}


def test_policies_are_staged_on_what_stands(world: SignedWorld) -> None:
    """Otherwise serials would not rise, and an earlier revocation would be lost."""
    world.publish(
        world.signed(stage_revocation(world.standing(), product=PRODUCT, digests=("bb" * 32,), now_ms=START_MS))
    )
    staged = stage_revocation(world.standing(), product=PRODUCT, digests=("aa" * 32,), now_ms=START_MS)
    revoked = decode(Revoked, staged.contents[revoked_path(PRODUCT)])
    assert (revoked.serial, revoked.revoked) == (3, ("aa" * 32, "bb" * 32))
    floor = stage_floor(world.standing(), product=PRODUCT, security_version=4, from_version="1.1.0", now_ms=START_MS)
    assert decode(Floor, floor.contents[floor_path(PRODUCT)]).serial == 2


def test_a_policy_of_wrong_input_is_refused(world: SignedWorld) -> None:
    """Otherwise a typing error would become a signed policy."""
    with pytest.raises(Refused, match=r"name\.invalid"):
        stage_revocation(world.standing(), product=PRODUCT, digests=("AA",), now_ms=START_MS)
    with pytest.raises(Refused, match=r"signer\.not_valid"):
        stage_floor(world.standing(), product=PRODUCT, security_version=-1, from_version="1.0.0", now_ms=START_MS)


@pytest.mark.parametrize("role", ["root", "targets", FIRMWARE, "config"])
def test_every_offline_role_can_be_renewed(world: SignedWorld, role: str) -> None:
    """Otherwise a fleet would stop updating a year after the ceremony."""
    world.pass_time(60 * DAY_MS)
    world.publisher.refresh_online()
    world.publish(world.signed(stage_renewal(world.standing(), role=role, now_ms=world.clock.now_ms())))
    metadata: Metadata[Any] = world.publisher.read_role(role)
    assert metadata.signed.version == 2
    assert metadata.signed.expires.timestamp() * 1000 > START_MS + 60 * DAY_MS + 80 * DAY_MS


def test_a_role_that_is_not_there_cannot_be_renewed(world: SignedWorld) -> None:
    """Otherwise a misspelt role would end in a traceback."""
    with pytest.raises(Refused, match=r"signer\.unknown_role"):
        stage_renewal(world.standing(), role="firmware-other", now_ms=START_MS)


def test_a_bundle_that_waited_too_long_is_refused(world: SignedWorld) -> None:
    """Otherwise an old bundle could be signed after everybody forgot why it was staged: its expiry has gone by."""
    bundle = world.stage(SPEC, b"image")
    root = bundle.standing.roles["root"]
    with pytest.raises(Refused, match=r"signer\.expiry_out_of_bounds"):
        add_signature(bundle, signer=world.keys.signers[FIRMWARE][0], trusted_root=root, now_ms=START_MS + 366 * DAY_MS)


def test_the_first_ceremony_keeps_every_rule(world: SignedWorld) -> None:
    """Otherwise the very first files of a fleet would be the exception."""
    made = hold(
        template=parse_template(template_text("production")),
        products=(PRODUCT, "other-ac22"),
        keys=KeyRing(),
        now_ms=START_MS,
    )
    judged = review(made.bundle, trusted_root=made.root, now_ms=START_MS)
    require_complete(judged)
    assert {role.role for role in judged.roles} == {
        "root",
        "targets",
        FIRMWARE,
        "firmware-other-ac22",
        "config",
        "campaign",
    }
    facts = facts_of("targets", parse("targets", made.bundle.roles["targets"]))
    assert [grant.role for grant in facts.grants][-1] == "permit"
    with pytest.raises(Refused, match=r"signer\.not_proven"):
        review(made.bundle, trusted_root=b"another", now_ms=START_MS)


@pytest.mark.parametrize("products", [(), (PRODUCT, PRODUCT), tuple(f"p-{n}" for n in range(65))])
def test_a_ceremony_needs_products(products: tuple[str, ...]) -> None:
    """Otherwise there would be keys for nothing, or two roles of one name."""
    with pytest.raises(Misuse, match=r"signer\.no_product"):
        hold(template=parse_template(template_text("demo")), products=products, keys=KeyRing(), now_ms=START_MS)


def test_the_keys_that_may_sign_are_known_by_their_public_half(world: SignedWorld) -> None:
    """Otherwise a key in hardware, which gives only signatures, could not be found."""
    known = {key.keyid for key in authorised_keys(world.stage(SPEC, b"image"))}
    assert known == {signer.public_key.keyid for signer in world.keys.signers[FIRMWARE]}


class _Unplugged(Signer):
    """A key device that has been pulled out."""

    def __init__(self, key: Key) -> None:
        self._key = key

    @property
    def public_key(self) -> Key:
        return self._key

    def sign(self, payload: bytes) -> Signature:
        raise OSError("no such device")

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: Key, secrets_handler: Any = None) -> "_Unplugged":
        return cls(public_key)


def test_a_key_that_does_not_answer_is_told(world: SignedWorld) -> None:
    """Otherwise a missing stick would end in a traceback."""
    key = world.keys.signers[FIRMWARE][0].public_key
    with pytest.raises(Unavailable, match=r"signer\.key_failed"):
        world.add(world.stage(SPEC, b"image"), _Unplugged(key))


def test_a_role_that_nobody_may_sign_is_told(world: SignedWorld) -> None:
    """Otherwise a bundle for a retired product would end in a traceback before its holders."""
    bundle = world.stage(SPEC, b"image")
    stray = replace(bundle, roles={"mirror": bundle.roles[FIRMWARE]})
    with pytest.raises(Refused, match=r"signer\.unknown_role"):
        world.add(stray, world.keys.signers[FIRMWARE][0])
