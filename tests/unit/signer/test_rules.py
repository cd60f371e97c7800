"""What the signer refuses, rule by rule, on plain values."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from otacore.ids import (
    config_bundle_path,
    config_manifest_path,
    firmware_image_path,
    firmware_manifest_path,
    floor_path,
    revoked_path,
)
from otacore.wire.codec import encode
from otacore.wire.policy import Floor, Revoked
from otacore.wire.release import DEFAULT_PACE, Part, ReleaseKind, ReleaseManifest
from signer.domain.facts import Change, FileFacts, GrantFacts, KeyFacts, RoleFacts
from signer.domain.rules import MS_PER_H, objections, overlap, owns
from signer.domain.words import tell
from signer.service.staging import facts_of_content

NOW_MS = 1_800_000_000_000
PRODUCT, ROLE = "acme-dc50", "firmware-acme-dc50"
IMAGE, MANIFEST = firmware_image_path(PRODUCT, "1.2.0"), firmware_manifest_path(PRODUCT, "1.2.0")
OLD_MANIFEST = firmware_manifest_path(PRODUCT, "1.1.0")
IMAGE_FACTS = FileFacts(5, "aa" * 32)
FLOOR = Floor(product=PRODUCT, serial=3, security_version=2, from_version="1.0.0")
REVOKED = Revoked(product=PRODUCT, serial=3, revoked=("bb" * 32,))
KEYS = tuple(KeyFacts(f"{n:064x}", f"{n:064x}", "ed25519", f"{n:02x}" * 32) for n in range(1, 4))
IDS = tuple(key.keyid for key in KEYS)


def _manifest(**changes: Any) -> ReleaseManifest:
    manifest = ReleaseManifest(
        product=PRODUCT,
        hardware=("rev-a",),
        kind=ReleaseKind.FIRMWARE,
        version="1.2.0",
        security_version=2,
        parts=(Part(IMAGE, IMAGE_FACTS.length_bytes, IMAGE_FACTS.sha256),),
        pace=DEFAULT_PACE,
        released_at_ms=NOW_MS,
    )
    return replace(manifest, **changes)


def _change(contents: Mapping[str, bytes], others: Mapping[str, FileFacts] | None = None, **after: Any) -> Change:
    """The next version of the firmware role with some new files."""
    old = {OLD_MANIFEST: FileFacts(9, "cc" * 32)}
    old |= {
        floor_path(PRODUCT): facts_of_content(encode(FLOOR)),
        revoked_path(PRODUCT): facts_of_content(encode(REVOKED)),
    }
    before = RoleFacts(ROLE, 4, NOW_MS - 1, NOW_MS + 1000 * MS_PER_H, 4, files=old)
    new = {**old, **(others or {}), **{path: facts_of_content(content) for path, content in contents.items()}}
    facts = RoleFacts(ROLE, 5, NOW_MS, NOW_MS + 8760 * MS_PER_H, NOW_MS, files=new)
    return Change(
        before=before,
        after=replace(facts, **after),
        patterns=(f"firmware/{PRODUCT}/*/*",),
        contents=contents,
        contents_before={floor_path(PRODUCT): encode(FLOOR), revoked_path(PRODUCT): encode(REVOKED)},
        now_ms=NOW_MS,
    )


def _release(manifest: ReleaseManifest | None = None, **after: Any) -> Change:
    return _change({MANIFEST: encode(manifest or _manifest())}, {IMAGE: IMAGE_FACTS}, **after)


def _codes(change: Change) -> set[str]:
    return {objection.code for objection in objections(change)}


def test_a_proper_release_meets_no_objection() -> None:
    """Otherwise every other test here could pass for the wrong reason."""
    assert objections(_release()) == ()


@pytest.mark.parametrize("version", [4, 6, 1])
def test_a_metadata_version_that_is_not_the_next_is_refused(version: int) -> None:
    """Otherwise two bundles staged on the same base would both be signed as if the other were not there."""
    assert _codes(_release(version=version)) == {"signer.version_not_next"}


def test_a_first_version_is_1() -> None:
    """Otherwise a role could begin so high that nothing can follow."""
    change = replace(_release(version=1), before=None)
    assert "signer.version_not_next" not in _codes(change)
    assert "signer.version_not_next" in _codes(replace(change, after=replace(change.after, version=2)))


def test_integers_beyond_2_53_are_refused() -> None:
    """Otherwise some clients would read another number than was signed."""
    assert _codes(_release(largest_integer=2**53)) == {"signer.integer_too_large"}


@pytest.mark.parametrize("life_h", [-1, 0, 2 * 8760 + 1])
def test_an_expiry_out_of_bounds_is_refused(life_h: int) -> None:
    """Otherwise a signature could outlive the keys, or be dead on arrival."""
    assert _codes(_release(expires_ms=NOW_MS + life_h * MS_PER_H)) == {"signer.expiry_out_of_bounds"}
    assert _codes(_release(expires_ms=NOW_MS + 2 * 8760 * MS_PER_H)) == set()


@pytest.mark.parametrize(
    "name", ["Image.bin", "a b.bin", ".hidden", "a%41.bin", "a#b", "a?b", "e\u0301.bin", "-x", "", "..", "a\\b"]
)
def test_names_that_clients_read_differently_are_refused(name: str) -> None:
    """Otherwise a target would be found by some chargers and not by others, or lead out of a directory."""
    path = f"firmware/{PRODUCT}/1.2.0/{name}"
    assert "signer.bad_name" in _codes(_change({}, {path: IMAGE_FACTS}))


def test_a_path_of_another_role_is_refused() -> None:
    """Otherwise a signer would vouch for what no client will ever accept from this role."""
    assert "signer.name_not_owned" in _codes(_change({}, {firmware_image_path("other-ac22", "1.0.0"): IMAGE_FACTS}))
    assert "signer.name_not_owned" in _codes(_change({}, {f"firmware/{PRODUCT}/1.2.0/deep/image.bin": IMAGE_FACTS}))


def test_a_target_that_vanishes_is_refused_unless_its_retirement_is_signed() -> None:
    """S3: otherwise a bundle could take a release out of sight unnoticed."""
    change = _release()
    files = {path: facts for path, facts in change.after.files.items() if path != OLD_MANIFEST}
    assert _codes(_release(files=files)) == {"signer.target_vanished"}
    assert _codes(_release(files=files, retired=frozenset({OLD_MANIFEST}))) == set()


def test_a_published_file_cannot_change() -> None:
    """Otherwise one version could mean two images."""
    change = _release()
    assert _codes(_release(files={**change.after.files, OLD_MANIFEST: FileFacts(9, "dd" * 32)})) >= {
        "signer.target_changed"
    }


@pytest.mark.parametrize("version", ["1.1.0", "1.0.9", "0.9.0", "1.1"])
def test_a_version_that_does_not_rise_in_its_line_is_refused(version: str) -> None:
    """Otherwise an old image could be signed again under the cover of a release."""
    path, image = firmware_manifest_path(PRODUCT, version), firmware_image_path(PRODUCT, version)
    manifest = _manifest(version=version, parts=(Part(image, 5, "aa" * 32),))
    change = _change({path: encode(manifest)}, {image: IMAGE_FACTS})
    assert "signer.version_does_not_rise" in _codes(change)


def test_lines_of_configuration_rise_per_product() -> None:
    """Otherwise the configuration of one product would block another's."""
    bundle, manifest_at = config_bundle_path("other-ac22", "1.0.0"), config_manifest_path("other-ac22", "1.0.0")
    before = RoleFacts(
        "config", 4, 0, NOW_MS + MS_PER_H, 4, files={config_manifest_path(PRODUCT, "9.0.0"): IMAGE_FACTS}
    )
    content = b'{"cap_a": 16}'
    part = Part(bundle, len(content), facts_of_content(content).sha256)
    manifest = encode(_manifest(product="other-ac22", kind=ReleaseKind.CONFIG, version="1.0.0", parts=(part,)))
    contents = {manifest_at: manifest, bundle: content}
    files = {**before.files, **{path: facts_of_content(data) for path, data in contents.items()}}
    after = RoleFacts("config", 5, 0, NOW_MS + MS_PER_H, 5, files=files)
    change = Change(before, after, ("config/*/*",), contents, {}, NOW_MS)
    assert _codes(change) == set()
    for wrong in (b"[]", b"{", b'"x"', b"[" * 100_000):
        part = Part(bundle, len(wrong), facts_of_content(wrong).sha256)
        manifest = encode(_manifest(product="other-ac22", kind=ReleaseKind.CONFIG, version="1.0.0", parts=(part,)))
        contents = {manifest_at: manifest, bundle: wrong}
        files = {**before.files, **{path: facts_of_content(data) for path, data in contents.items()}}
        refused = replace(change, after=replace(after, files=files), contents=contents)
        assert _codes(refused) == {"signer.bad_configuration"}


@pytest.mark.parametrize(
    "changes",
    [
        {"product": "other-ac22"},
        {"version": "1.3.0"},
        {"kind": ReleaseKind.CONFIG},
        {"parts": (Part(IMAGE, 6, "aa" * 32),)},
        {"parts": (Part(IMAGE, 5, "ab" * 32),)},
        {"parts": (Part(config_bundle_path(PRODUCT, "1.0.0"), 5, "aa" * 32),)},
    ],
)
def test_a_manifest_that_says_something_else_than_its_files_is_refused(changes: dict[str, Any]) -> None:
    """Otherwise a manifest could point to bytes that another role signed, or that nobody did."""
    assert "signer.bad_manifest" in _codes(_release(_manifest(**changes)))


def test_a_manifest_that_cannot_be_read_is_refused() -> None:
    """Otherwise holders would sign what no charger can read."""
    assert "signer.bad_manifest" in _codes(_change({MANIFEST: b'{"product": 1}'}, {IMAGE: IMAGE_FACTS}))


def test_a_file_that_no_manifest_names_is_refused() -> None:
    """Otherwise something could be slipped in beside a release."""
    stray = f"firmware/{PRODUCT}/1.2.0/extra.bin"
    assert _codes(_change({MANIFEST: encode(_manifest())}, {IMAGE: IMAGE_FACTS, stray: IMAGE_FACTS})) == {
        "signer.file_without_manifest"
    }


def test_a_release_below_the_floor_is_refused() -> None:
    """Otherwise a release would be signed that no charger may run."""
    assert _codes(_release(_manifest(security_version=1))) == {"signer.below_floor"}
    blind = replace(_release(_manifest(security_version=1)), contents_before={})
    assert _codes(blind) == {"signer.bad_policy"}, "leaving the floor out of the bundle switches the rule off"


@pytest.mark.parametrize(
    ("path", "policy", "code"),
    [
        (floor_path(PRODUCT), replace(FLOOR, serial=3, security_version=3), "signer.serial_not_next"),
        (floor_path(PRODUCT), replace(FLOOR, serial=5), "signer.serial_not_next"),
        (floor_path(PRODUCT), replace(FLOOR, serial=4, security_version=1), "signer.floor_falls"),
        (floor_path(PRODUCT), replace(FLOOR, serial=4, product="other-ac22"), "signer.bad_policy"),
        (floor_path(PRODUCT), replace(REVOKED, serial=4), "signer.bad_policy"),
        (revoked_path(PRODUCT), replace(REVOKED, serial=4, revoked=()), "signer.revocation_withdrawn"),
        (revoked_path(PRODUCT), replace(REVOKED, serial=2), "signer.serial_not_next"),
    ],
)
def test_policies_only_tighten_and_their_serials_rise_by_one(path: str, policy: Floor | Revoked, code: str) -> None:
    """Otherwise a floor could fall, a revocation be withdrawn, or a charger miss a serial."""
    assert code in _codes(_change({path: encode(policy)}))


def test_a_tightened_policy_meets_no_objection() -> None:
    """Otherwise the floor could never rise."""
    assert _codes(_change({floor_path(PRODUCT): encode(replace(FLOOR, serial=4, security_version=3))})) == set()
    assert (
        _codes(_change({revoked_path(PRODUCT): encode(replace(REVOKED, serial=4, revoked=("aa" * 32, "bb" * 32)))}))
        == set()
    )


def test_a_policy_without_its_predecessor_at_hand_is_refused() -> None:
    """Otherwise leaving a file out of the bundle would switch its rule off."""
    change = _change({floor_path(PRODUCT): encode(replace(FLOOR, serial=1, security_version=0))})
    assert "signer.bad_policy" in _codes(replace(change, contents_before={}))


def _targets(grants: tuple[GrantFacts, ...], **after: Any) -> Change:
    facts = RoleFacts("targets", 2, NOW_MS, NOW_MS + MS_PER_H, 2, keys=KEYS, grants=grants)
    before = RoleFacts("targets", 1, NOW_MS, NOW_MS + MS_PER_H, 1, keys=KEYS)
    return Change(before, replace(facts, **after), (), {}, {}, NOW_MS)


GRANT = GrantFacts(ROLE, IDS, 2, (f"firmware/{PRODUCT}/*/*",))


@pytest.mark.parametrize(
    ("grant", "code"),
    [
        (replace(GRANT, threshold=0), "signer.bad_threshold"),
        (replace(GRANT, threshold=1), "signer.bad_threshold"),
        (replace(GRANT, threshold=4), "signer.bad_threshold"),
        (replace(GRANT, keyids=IDS[:1] * 3), "signer.bad_threshold"),
        (replace(GRANT, terminating=False), "signer.not_terminating"),
    ],
)
def test_a_delegation_that_does_not_hold_is_refused(grant: GrantFacts, code: str) -> None:
    """Otherwise a product could be signed by one holder, by nobody, or by the next role in the list."""
    assert code in _codes(_targets((grant,)))
    assert _codes(_targets((GRANT,))) == set()


def test_overlapping_patterns_are_refused() -> None:
    """Otherwise the order of a list would decide which keys sign a product."""
    other = replace(GRANT, role="config", patterns=("firmware/*/1.0.0/*",))
    assert "signer.overlapping_patterns" in _codes(_targets((GRANT, other)))
    apart = replace(GRANT, role="config", patterns=("config/*/*",))
    assert _codes(_targets((GRANT, apart))) == set()


def test_one_key_under_two_ids_is_refused() -> None:
    """Otherwise one holder could meet a threshold of two."""
    twin = replace(KEYS[0], keyid="ee" * 32, computed_keyid="ee" * 32)
    assert "signer.duplicate_key" in _codes(_targets((GRANT,), keys=(*KEYS, twin)))
    both = replace(GRANT, keyids=(KEYS[0].keyid, twin.keyid), threshold=2)
    assert "signer.bad_threshold" in _codes(_targets((both,), keys=(*KEYS, twin)))


def test_a_key_id_that_is_not_the_key_s_hash_is_refused() -> None:
    """Otherwise some clients would refuse the whole repository."""
    odd = replace(KEYS[0], computed_keyid="ee" * 32)
    assert "signer.bad_key_id" in _codes(_targets((GRANT,), keys=(odd, *KEYS[1:])))


def test_top_level_targets_lists_no_file_and_no_bins() -> None:
    """Otherwise the delegations' owner could ship code, or break clients that do not know hash bins."""
    assert "signer.target_in_top_level" in _codes(_targets((GRANT,), files={IMAGE: IMAGE_FACTS}))
    assert "signer.unfamiliar_construct" in _codes(_targets((GRANT,), unfamiliar=("succinct_roles",)))


@pytest.mark.parametrize(
    ("pattern", "path", "owned"),
    [
        ("firmware/a/*/*", "firmware/a/1/x", True),
        ("firmware/a/*/*", "firmware/a/1/x/y", False),
        ("firmware/a/*/*", "firmware/b/1/x", False),
        ("campaigns/*", "campaigns/a/b", False),
    ],
)
def test_a_star_does_not_cross_a_slash(pattern: str, path: str, *, owned: bool) -> None:
    """Otherwise the signer would allow what clients refuse, or the other way round."""
    assert owns(pattern, path) is owned


def test_patterns_overlap_when_one_path_fits_both() -> None:
    """Otherwise two roles could own one path."""
    assert overlap("a/*/c", "*/b/c")
    assert not overlap("a/*/c", "a/b/d")
    assert not overlap("a/*", "a/*/c")
    assert overlap("a/x*", "a/y*"), "a star inside a name is not looked into: it is refused"


def test_the_words_name_everything_that_changes_who_runs_what() -> None:
    """S3: otherwise a holder would sign something that the words left out."""
    text = "\n".join(tell(_release(_manifest(from_versions=("1.1.0",), stepping_stones=("1.0.0",)))))
    facts = ("1.2.0", PRODUCT, "rev-a", IMAGE, "aa" * 32, "security version 2", "336 h", "1 % or 50 named", "24 h")
    for fact in (*facts, "only from 1.1.0", "only after 1.0.0", "version 5"):
        assert fact in text
    floor = tell(_change({floor_path(PRODUCT): encode(replace(FLOOR, serial=4, security_version=7))}))
    assert "below security version" in "\n".join(floor)
    revoked = encode(replace(REVOKED, serial=4, revoked=("aa" * 32, "bb" * 32)))
    assert "aa" * 32 in "\n".join(tell(_change({revoked_path(PRODUCT): revoked})))
    grants = "\n".join(tell(_targets((GRANT,))))
    assert f"lets sign for {ROLE}" in grants
    files = {path: facts for path, facts in _release().after.files.items() if path != OLD_MANIFEST}
    assert f"retires {OLD_MANIFEST}" in "\n".join(tell(_release(files=files)))
    assert "renews" in "\n".join(tell(_change({})))


def test_the_words_do_not_fall_silent_at_what_they_cannot_read() -> None:
    """Otherwise the one bundle that a holder should look at twice would show the least."""
    odd = "\n".join(
        tell(_change({MANIFEST: b"{", floor_path(PRODUCT): b"{", revoked_path(PRODUCT): b"["}, {IMAGE: IMAGE_FACTS}))
    )
    for path in (MANIFEST, IMAGE, floor_path(PRODUCT), revoked_path(PRODUCT)):
        assert path in odd
    gone = _targets(())
    assert gone.before is not None
    gone = replace(gone, before=replace(gone.before, grants=(GRANT,)))
    assert f"takes every right from {ROLE}" in "\n".join(tell(gone))
