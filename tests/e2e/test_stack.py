"""The stack itself: what it refuses to start on, what it keeps over a restart, what it does without its database."""

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ops.stack import Stack, StackOptions
from otacore.errors import Broken, Misuse
from otacore.wire.report import Fact
from rollout.domain.people import Role
from tests.fakes.caller import Caller
from tests.fakes.http_charger import HttpCharger
from tests.fakes.running_stack import PASSPHRASE, PRODUCT, Running, commission, running_of, started

API = "/api/v1"
WHY = {"reason": "smoke at site 3"}
OPTIONS = StackOptions(passphrase=PASSPHRASE, make_keys=True, with_ticks=False)


@contextmanager
def _running(directory: Path) -> Iterator[Running]:
    with Stack(directory, OPTIONS) as stack:
        yield running_of(stack, directory)


@contextmanager
def _database_held(directory: Path) -> Iterator[None]:
    """Nobody else can write: to a halt or a permit the database is gone."""
    with closing(sqlite3.connect(directory / "rollout.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def _moved(chargers: list[HttpCharger], url: str) -> None:
    """After a restart the server stands at another port."""
    for charger in chargers:
        charger.url = url


def _ask(charger: HttpCharger, name: str, digest: str, epoch: int) -> Any:
    return charger.ask(charger.request(name, digest, epoch)).json


def _awaited(running: Running, name: str, state: str) -> Any:
    """Every look costs a call, so the loop ends by itself."""
    for _ in range(2000):
        rollout = running.admin.get(f"{API}/rollouts/{name}").json["rollout"]
        if rollout["state"] == state:
            return rollout
    raise AssertionError(f"{name} is not {state}")


def test_without_its_database_a_halt_is_kept_here_and_done_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R1: the person who halts is heard at once, no permit comes from this server, and nobody need call again."""
    monkeypatch.setenv("TIDEGATE_ROLLOUT_DATABASE_BUSY_MS", "50")
    monkeypatch.setenv("TIDEGATE_ROLLOUT_TICK_S", "3600")
    with _running(tmp_path) as running:
        charger, other = commission(running, sites=2, per_site=1)
        digest = started(running, "spring", "1.1.0")
        epoch = running.admin.get(f"{API}/rollouts/spring").json["rollout"]["epoch"]
        with _database_held(tmp_path):
            halted = running.as_(Role.OPERATOR).post(f"{API}/rollouts/spring/halt", WHY)
            assert (halted.status, halted.code) == (503, "halt.kept_here")
            assert int(halted.headers["retry-after"]) >= 1
        assert _ask(charger, "spring", digest, epoch)["reason"] == "stopped_locally"
        assert running.admin.get(f"{API}/rollouts/spring").json["rollout"]["state"] == "running"
    monkeypatch.setenv("TIDEGATE_ROLLOUT_TICK_S", "0.05")
    with _running(tmp_path) as running:
        _moved([charger, other], running.stack.url)
        assert _ask(charger, "spring", digest, epoch)["permit"] is None
        rollout = _awaited(running, "spring", "halted")
        assert rollout["epoch"] > epoch
        stops = running.stack.room.services.local_stops
        assert _ask(other, "spring", digest, epoch)["permit"] is None
        told = running.admin.get(f"{API}/audit").json
        assert [one["actor"] for one in told if one["action"] == "halt"] == ["a-operator"]
    assert stops.standing() == ()


def test_with_a_damaged_database_a_halt_is_kept_here(tmp_path: Path) -> None:
    """R1: a token that can no longer be looked up would end as a fault, and nobody could stop anything."""
    with _running(tmp_path) as running:
        charger, *_ = commission(running, sites=2, per_site=1)
        digest = started(running, "spring", "1.1.0")
        epoch = running.admin.get(f"{API}/rollouts/spring").json["rollout"]["epoch"]
        operator = running.as_(Role.OPERATOR)
        assert operator.get(f"{API}/whoami").status == 200
        with closing(sqlite3.connect(tmp_path / "rollout.db")) as raw, raw:
            raw.execute("DROP TABLE principal")
            raw.execute("DROP TABLE rollout")
        halted = operator.post(f"{API}/rollouts/spring/halt", WHY)
        assert (halted.status, halted.code) == (503, "halt.kept_here")
        assert _ask(charger, "spring", digest, epoch)["reason"] == "stopped_locally"
        assert running.admin.get(f"{API}/rollouts/spring").code == "store.damaged"


def test_a_restart_in_the_middle_of_a_rollout_changes_nothing(tmp_path: Path) -> None:
    """Whatever lived in the process alone would be lost with it: tokens, permits, places, progress."""
    with _running(tmp_path) as running:
        chargers = commission(running, sites=3, per_site=1)
        digest = started(running, "spring", "1.1.0")
        before = running.admin.get(f"{API}/rollouts/spring").json
        request = chargers[0].request("spring", digest, before["rollout"]["epoch"])
        granted = chargers[0].ask(request).json
        assert granted["permit"] is not None
        before = running.admin.get(f"{API}/rollouts/spring").json
        token = running.people["operator"].token
    with _running(tmp_path) as running:
        _moved(chargers, running.stack.url)
        assert running.admin.get(f"{API}/rollouts/spring").json == before
        assert chargers[0].ask(request).json["permit"]["payload"] == granted["permit"]["payload"]
        assert running.admin.get(f"{API}/rollouts/spring").json["permits_open"] == 1
        offer = chargers[1].poll()
        assert (offer["answer"], offer["epoch"]) == ("install", before["rollout"]["epoch"])
        chargers[0].installs("spring", digest, "1.1.0", request.nonce)
        counters = running.admin.get(f"{API}/rollouts/spring").json["counters"]
        assert counters["confirmed"] == 1
        assert Caller(running.stack.url, token).get(f"{API}/whoami").status == 401  # renewed by `people_of`
        assert running.admin.get(f"{API}/audit/verify").json["broken"] is None


def test_ticks_of_the_stack_open_publish_and_complete_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stack whose timer did not tick would wait for ever with everything done."""
    monkeypatch.setenv("TIDEGATE_ROLLOUT_TICK_S", "0.05")
    options = StackOptions(passphrase=PASSPHRASE, make_keys=True)
    with Stack(tmp_path, options) as stack:
        running = running_of(stack, tmp_path)
        chargers = commission(running, sites=2, per_site=1)
        digest = started(running, "spring", "1.1.0")
        epoch = running.admin.get(f"{API}/rollouts/spring").json["rollout"]["epoch"]
        for charger in chargers:
            request = charger.request("spring", digest, epoch)
            assert charger.ask(request).json["permit"] is not None
            charger.installs("spring", digest, "1.1.0", request.nonce)
        # The judge follows them for a second; every look at it costs a call, so the loop ends by itself.
        for _ in range(2000):
            if running.admin.get(f"{API}/rollouts/spring").json["rollout"]["state"] != "running":
                break
            for charger in chargers:
                if charger.poll()["report_wanted"]:
                    charger.report(Fact.STATE)
        progress = running.admin.get(f"{API}/rollouts/spring").json
        assert (progress["rollout"]["state"], progress["result"]) == ("completed", "unproven")


def test_many_callers_at_once_all_get_their_answer(tmp_path: Path) -> None:
    """Routes that hold a connection while they wait for a thread stop each other: 64 callers, 10 connections."""
    with _running(tmp_path) as running:
        chargers = commission(running, sites=8, per_site=1)
        digest = started(running, "spring", "1.1.0")
        epoch = running.admin.get(f"{API}/rollouts/spring").json["rollout"]["epoch"]
        calls = [
            lambda: running.admin.get(f"{API}/rollouts").status,
            lambda: running.admin.get(f"{API}/rollouts/spring").status,
            lambda: running.admin.get(f"{API}/rollouts/spring/leftovers").status,
            lambda: running.admin.get(f"{API}/fleet/chargers").status,
            lambda: running.admin.get(f"{API}/audit/verify").status,
            lambda: running.admin.post(f"{API}/fleet/sites", {"sites": [{"site_id": "x", "site_class": "hub"}]}).status,
            lambda: chargers[0].ask(chargers[0].request("spring", digest, epoch)).status,
            lambda: Caller(running.stack.url, chargers[1].token).post("/device/v1/report", {}).status,
        ]
        with ThreadPoolExecutor(64) as callers:
            statuses = [future.result(timeout=60) for future in [callers.submit(calls[n % 8]) for n in range(320)]]
        assert statuses == [200, 200, 200, 200, 200, 200, 200, 422] * 40


def test_one_changed_bit_of_the_audit_log_is_found(tmp_path: Path) -> None:
    """A1: whoever can write the database could otherwise make another person responsible."""
    with _running(tmp_path) as running:
        whole = running.admin.get(f"{API}/audit/verify").json
        assert (whole["broken"], whole["entries"] >= 5) == (None, True)
        with closing(sqlite3.connect(tmp_path / "rollout.db")) as raw, raw:
            raw.execute("UPDATE audit SET actor = 'admim' WHERE sequence = 3")
        broken = running.admin.get(f"{API}/audit/verify").json
        assert (broken["entries"], broken["broken"]["sequence"]) == (2, 3)
        with closing(sqlite3.connect(tmp_path / "rollout.db")) as raw, raw:
            raw.execute("UPDATE audit SET actor = 'admin' WHERE sequence = 3")
            raw.execute("DELETE FROM audit WHERE sequence = 4")
        assert running.admin.get(f"{API}/audit/verify").json["broken"]["sequence"] == 4


def test_where_it_answers_is_told_while_it_does(tmp_path: Path) -> None:
    """A command that finds the address of a server that is gone waits for nothing."""
    with _running(tmp_path) as running:
        assert json.loads((tmp_path / "api.json").read_bytes())["url"] == running.stack.url
        assert running.admin.get("/healthz").json == {"status": "ok"}
        assert Caller(running.stack.url, None).get("/repository/metadata/1.root.json").body == (
            running.stack.world.factory_root
        )
    assert not (tmp_path / "api.json").exists()


def test_a_second_stack_on_a_directory_is_refused_and_disturbs_nothing(tmp_path: Path) -> None:
    """Two processes would each believe that the places and the catalogue are theirs."""
    with _running(tmp_path) as running:
        with pytest.raises(Misuse) as refused, Stack(tmp_path, OPTIONS):
            pass
        assert refused.value.code == "stack.already_running"
        assert running.admin.get(f"{API}/whoami").status == 200
        assert (tmp_path / "api.json").exists()
    with _running(tmp_path):
        pass


def test_without_keys_it_says_how_to_get_them(tmp_path: Path) -> None:
    """Keys made by the way, with a passphrase nobody chose, would end up in production."""
    with pytest.raises(Misuse) as refused, Stack(tmp_path, StackOptions(passphrase=PASSPHRASE)):
        pass
    assert refused.value.code == "stack.no_keys"
    assert "keys init" in refused.value.hint


def test_a_database_from_a_newer_version_stops_the_start(tmp_path: Path) -> None:
    """An older program on a newer database would write what the newer one misreads."""
    with _running(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "rollout.db")) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Misuse) as refused, Stack(tmp_path, OPTIONS):
        pass
    assert refused.value.code == "store.from_newer_version"
    assert not (tmp_path / "api.json").exists()


def test_a_wrong_passphrase_stops_the_start(tmp_path: Path) -> None:
    """A server that starts without its keys looks well until the first permit."""
    with _running(tmp_path):
        pass
    with pytest.raises(Broken), Stack(tmp_path, StackOptions(passphrase="another passphrase")):
        pass
    with _running(tmp_path):
        pass


def test_a_taken_port_stops_the_start_before_anything_is_made(tmp_path: Path) -> None:
    """The second one's people would talk to the first one's server."""
    with _running(tmp_path / "first") as running:
        port = int(running.stack.url.rpartition(":")[2])
        options = StackOptions(passphrase=PASSPHRASE, make_keys=True, port=port)
        with pytest.raises(Misuse) as refused, Stack(tmp_path / "second", options):
            pass
        assert refused.value.code == "serve.port_taken"
        assert not (tmp_path / "second" / "keys").exists()


def test_the_releases_of_a_product_are_found_after_a_restart(tmp_path: Path) -> None:
    """Permits name the newest serials of their product; without them none would be given after a restart."""
    with _running(tmp_path) as running:
        commission(running, sites=2, per_site=1)
        started(running, "spring", "1.1.0")
    with _running(tmp_path) as running:
        running.stack.room.refresh_catalogue()
        assert running.stack.room.catalogue.facts(PRODUCT).stop_serial >= 1
