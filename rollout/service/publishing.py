"""From the outbox to the repository: publish what a committed decision demands, then note that it stands.

Only the newest publication of a rollout is tried: it says everything that the ones before it said. Publishing is
idempotent, so a crash between publishing and noting costs one repetition.
Reasons: docs/adr/0004-level-triggered-controller.md.

Rules:
1. A publication that was refused for good is kept with its error, for the controller to ask a person; a `hold` is tried
   again and again whatever the answer.
2. Noting never touches a rollout that was decided upon since.
3. Whatever a publication meets, it changes nothing about the decision that asked for it: that stands committed.
"""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from otacore.clock import Clock
from otacore.errors import OtaError, Refused, Unavailable
from otacore.wire.campaign import CampaignAction
from rollout.domain.decision import opening_share, published
from rollout.domain.halt import Publication
from rollout.domain.pace import step_of
from rollout.domain.records import OutboxItem, Release, Rollout
from rollout.service.ports import CampaignPublisher, Store, Transaction
from rollout.service.snapshot import release_of, require_rollout
from rollout.service.transact import committed

FIRST_RETRY_MS = 1_000
MAX_RETRY_MS = 60_000
_MAX_DOUBLINGS = 6
_log = structlog.get_logger("rollout.publishing")


class Publishing:
    """Works off the outbox of one rollout at a time."""

    def __init__(self, *, store: Store, clock: Clock, publisher: CampaignPublisher) -> None:
        self._store = store
        self._clock = clock
        self._publisher = publisher

    def publish(self, rollout_id: str, *, at_once: bool = False) -> Publication:
        """Try the newest pending publication, when its time to retry has come or `at_once`.

        Raises: Unavailable when the store does not answer; never because the repository does not.
        """
        with self._store.reading() as tx:
            pending = tx.outbox(rollout_id)
        if not pending:
            return Publication.PUBLISHED
        newest, now_ms = pending[-1], self._clock.now_ms()
        if not at_once and now_ms < newest.next_try_ms:
            return Publication.PENDING
        try:
            self._publisher.publish(newest.order)
        except Unavailable:
            committed(self._store, lambda tx: _try_later(tx, newest, now_ms, error=None))
            return Publication.PENDING
        except Refused as error:
            told = f"{error.code}: {error.hint}"
            committed(self._store, lambda tx: _try_later(tx, newest, now_ms, error=told))
            return Publication.PENDING
        committed(self._store, lambda tx: _note(tx, newest, now_ms=self._clock.now_ms()))
        return Publication.PUBLISHED

    def publish_if_possible(self, rollout_id: str, *, at_once: bool = False) -> Publication:
        """Try, after a decision that stands already: whatever fails here is the next tick's work."""
        try:
            return self.publish(rollout_id, at_once=at_once)
        except OtaError as error:
            _log.warning("publication_put_off", rollout_id=rollout_id, code=error.code, hint=error.hint)
        except AssertionError:
            raise  # a check of a test or of the simulation, which must be seen
        except Exception:  # noqa: BLE001 -- a halt that stands must not be answered as a fault, nor judging stop for it
            _log.exception("publication_crashed", rollout_id=rollout_id)
        return Publication.PENDING


def refusal_of(pending: Sequence[OutboxItem]) -> str | None:
    """Why the newest opening was refused for good; a hold is never given up."""
    if not pending or pending[-1].order.manifest.action is CampaignAction.HOLD:
        return None
    return pending[-1].error


def named_over_all(tx: Transaction, release: Release) -> int:
    """Chargers that all rollouts of a release have named so far."""
    return sum(
        wave.named
        for rollout in tx.rollouts_of(release.digest)
        for wave in tx.waves(rollout.rollout_id)
        if wave.number <= rollout.wave
    )


def next_pace_step(tx: Transaction, rollout: Rollout, release: Release) -> int | None:
    """Step of the pace that the next wave needs; None when there is no next wave, or no step covers it."""
    waves = tx.waves(rollout.rollout_id)
    if not 0 < rollout.wave < len(waves):
        return None
    named = named_over_all(tx, release) + waves[rollout.wave].named
    return step_of(release.pace, share=opening_share(waves, through=rollout.wave + 1), named=named)


def _try_later(tx: Transaction, item: OutboxItem, now_ms: int, *, error: str | None) -> None:
    known = next((one for one in tx.outbox(item.rollout_id) if one.epoch == item.epoch), None)
    if known is None:
        return  # a newer publication has said it all meanwhile
    wait_ms = min(MAX_RETRY_MS, FIRST_RETRY_MS << min(known.attempts, _MAX_DOUBLINGS))
    tx.put_outbox(replace(known, attempts=known.attempts + 1, next_try_ms=now_ms + wait_ms, error=error))


def _note(tx: Transaction, item: OutboxItem, *, now_ms: int) -> None:
    tx.drop_outbox(item.rollout_id, through_epoch=item.epoch)
    rollout = require_rollout(tx, item.rollout_id)
    manifest = item.order.manifest
    if rollout.epoch != item.epoch or rollout.published_epoch == item.epoch:
        return
    release = release_of(tx, rollout)
    step = step_of(release.pace, share=manifest.share, named=named_over_all(tx, release)) or 0
    tx.put_rollout(
        published(rollout, action=manifest.action, pace_step=step, now_ms=now_ms), expected_revision=rollout.revision
    )
    if manifest.action is CampaignAction.INSTALL:
        _open_waves(tx, rollout, now_ms=now_ms)


def _open_waves(tx: Transaction, rollout: Rollout, *, now_ms: int) -> None:
    for wave in tx.waves(rollout.rollout_id):
        if wave.number <= rollout.wave and wave.opened_at_ms is None:
            tx.put_wave(replace(wave, opened_at_ms=now_ms))
