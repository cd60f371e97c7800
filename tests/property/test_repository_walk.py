"""A random walk through the life of a repository, with several clients that look in now and then.

Publish, renew, rotate, restart, let time go by, steal the online keys and replace them: whatever the order, every
client that is not ahead of the repository verifies and finds the newest release, and nobody accepts less than it saw.
"""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from securesystemslib.signer import CryptoSigner

from otacore.errors import Refused
from otacore.ids import firmware_image_path
from repository.service.publisher import Draft
from signer.service.staging import stage_renewal
from tests.fakes.signed_world import DAY_MS, EVERYBODY, FIRMWARE, HOUR_MS, PRODUCT, Released, Served, SignedWorld

CLIENTS = st.integers(0, 3)
OFFLINE = st.sampled_from(["root", "targets", FIRMWARE, "config"])


class Life(RuleBasedStateMachine):
    """The repository, what is newest in it, and which clients a thief fast-forwarded."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.world = SignedWorld(Path(self._folder.name))
        self.newest = 0
        self.ahead: set[int] = set()
        self.releases: list[Released] = []

    def teardown(self) -> None:
        self._folder.cleanup()

    @initialize()
    def first_release(self) -> None:
        self.release()

    @rule()
    def release(self) -> None:
        """The next firmware release."""
        self.newest += 1
        self.releases.append(self.world.release(f"1.{self.newest}.0", b"image %d" % self.newest, pace=EVERYBODY))

    @rule(share=st.integers(0, 2**32))
    def campaign(self, share: int) -> None:
        """A rollout of the newest release, opened."""
        epoch = self.world.clock.now_ms() // 1000
        self.world.desk.publish(self.releases[-1].order(f"roll-{self.newest}-{share}", epoch=epoch, share=share))

    @rule(role=OFFLINE)
    def renew(self, role: str) -> None:
        """The same again, with a later expiry."""
        bundle = stage_renewal(self.world.standing(), role=role, now_ms=self.world.clock.now_ms())
        self.world.publish(self.world.signed(bundle))

    @rule(role=OFFLINE, number=st.integers(0, 2))
    def replace_an_offline_key(self, role: str, number: int) -> None:
        """One holder of three gets a new key; the role is signed anew by the two others."""
        world, fresh = self.world, CryptoSigner.generate_ed25519()
        gone = world.keys.signers[role][number]
        above = "root" if role in {"root", "targets"} else "targets"

        def change(signed: Any) -> None:
            signed.revoke_key(gone.public_key.keyid, role)
            signed.add_key(fresh.public_key, role)

        staying = [signer for signer in world.keys.signers[role] if signer is not gone]
        drafts = {}
        if role != above:
            drafts[role] = world.forge(role, lambda signed: None, signers=staying)
        drafts[above] = world.forge(above, change, signers=staying if role == above else None)
        world.publisher.publish(Draft(drafts))
        world.keys.signers[role][number] = fresh

    @rule()
    def replace_the_online_keys(self) -> None:
        """New snapshot and timestamp keys; a publisher that holds both signs once with both."""
        world = self.world
        fresh = {role: CryptoSigner.generate_ed25519() for role in ("snapshot", "timestamp")}

        def change(root: Any) -> None:
            for role, key in fresh.items():
                root.revoke_key(world.keys.signers[role][0].public_key.keyid, role)
                root.add_key(key.public_key, role)

        root = world.forge("root", change)
        for role, key in fresh.items():
            world.keys.signers[role].append(key)
        world.publisher, world.desk = world.rival("rotating", world.memory)
        world.publisher.publish(Draft({"root": root}))
        for role, key in fresh.items():
            world.keys.signers[role] = [key]
        world.publisher, world.desk = world.rival("rotated", world.memory)
        recovering, self.ahead = self.ahead, set()
        for number in sorted(recovering):
            self.a_client_looks_in(number)

    @rule()
    def restart(self) -> None:
        """The publisher's process ends and another begins."""
        self.world.publisher, self.world.desk = self.world.rival("restarted", self.world.memory)

    @rule(days=st.integers(0, 60), hours=st.integers(0, 23))
    def time_goes_by(self, days: int, hours: int) -> None:
        """The timer runs again afterwards, and offline roles renewed when they are near their end."""
        world = self.world
        world.pass_time(days * DAY_MS + hours * HOUR_MS)
        world.publisher.refresh_online()
        for role in ("root", "targets", FIRMWARE, "config"):
            expires_ms = int(world.publisher.read_role(role).signed.expires.timestamp() * 1000)
            if expires_ms - world.clock.now_ms() < 65 * DAY_MS:
                self.renew(role)

    @rule(number=CLIENTS)
    def a_client_looks_in(self, number: int) -> None:
        """It finds the newest release, unless a thief pushed it ahead: then it refuses to go back."""
        client = self.world.client(f"charger-{number}")
        try:
            client.refresh(now_ms=self.world.clock.now_ms())
        except Refused as error:
            if number in self.ahead and error.code == "trust.rollback":
                return
            raise
        path = firmware_image_path(PRODUCT, f"1.{self.newest}.0")
        assert client.read(path, limit_bytes=100) == b"image %d" % self.newest

    @precondition(lambda self: len(self.ahead) < 2)
    @rule(number=CLIENTS, jump=st.integers(5, 2**40))
    def a_thief_pushes_a_client_ahead(self, number: int, jump: int) -> None:
        """With stolen snapshot and timestamp keys, versions far beyond what is published."""
        if number in self.ahead:
            return
        self.a_client_looks_in(number)
        mirror = Served(self.world.memory)
        mirror.files |= self.world.forge_online({}, versions={"snapshot": jump + 10**6, "timestamp": jump + 10**6})
        self.world.client(f"charger-{number}", fetch=mirror).refresh(now_ms=self.world.clock.now_ms())
        self.ahead.add(number)

    @rule(number=CLIENTS)
    def a_mirror_shows_the_past(self, number: int) -> None:
        """The publication before this one is refused by whoever saw this one."""
        past = Served(self.world.memory)
        self.release()
        self.a_client_looks_in(number)
        if number not in self.ahead:
            try:
                self.world.client(f"charger-{number}", fetch=past).refresh(now_ms=self.world.clock.now_ms())
            except Refused as error:
                assert error.code == "trust.rollback"  # noqa: PT017 -- a refusal of any other kind is the finding
            else:
                raise AssertionError("an older publication was accepted")

    @invariant()
    def a_new_client_verifies(self) -> None:
        """Fresh from the factory, with the very first root."""
        client = self.world.client(f"new-{self.world.clock.now_ms()}-{len(self.world.memory.content)}")
        client.refresh(now_ms=self.world.clock.now_ms())
        assert client.permit_keys()


def test_every_client_verifies_through_the_life_of_a_repository() -> None:
    """Otherwise some order of ordinary events would strand chargers, or let a mirror take them back."""
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=12, stateful_step_count=14, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
