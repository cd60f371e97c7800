"""The commands of operators, as words on a line, against a running stack; and the processes behind `up` and `serve`."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from ops.cli import main
from ops.stack import LOCK_FILE, Stack, StackOptions
from ops.world import make_world
from otacore.clock import SystemClock
from otacore.wire.release import EMERGENCY_PACE
from tests.fakes.caller import Caller
from tests.fakes.http_charger import HttpCharger
from tests.fakes.redis_server import redis_server
from tests.fakes.running_stack import PASSPHRASE, PRODUCT, People, Running, commission, opened, people_of, started

LIMIT_S = 60
Say = Callable[..., "Said"]


class Said:
    """What a command printed, and how it ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> Any:
        """What it printed for programs."""
        return json.loads(self.out)


@pytest.fixture
def say(running: Running, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """Run a command as the stack's first admin."""
    for variable in ("TIDEGATE_URL", "TIDEGATE_TOKEN", "TIDEGATE_TOKEN_FILE"):
        monkeypatch.delenv(variable, raising=False)

    def run(*words: str) -> Said:
        status = main([*words, "--dir", str(running.directory)])
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return run


def _file(tmp_path: Path, name: str, content: str) -> str:
    (tmp_path / name).write_text(content)
    return str(tmp_path / name)


def test_an_operator_does_a_rollout_by_commands_alone(running: Running, say: Say, tmp_path: Path) -> None:
    """What only the API can do, nobody does at night with a terminal."""
    sites = _file(tmp_path, "sites.csv", "site_id,site_class,consent\nn1,depot,0+10080\nn2,depot,0+10080\n")
    chargers = _file(
        tmp_path,
        "chargers.csv",
        f"device_id,site_id,product,hardware,rating_w\nn-1,n1,{PRODUCT},rev-a,22000\nn-2,n2,{PRODUCT},rev-a,22000\n",
    )
    assert say("fleet", "register-sites", sites, "--json").json == {"created": 2, "changed": 0, "unchanged": 0}
    assert "would_send" in say("fleet", "register", chargers, "--dry-run").json
    assert say("fleet", "show", "n-1").status == 2
    assert "created 2" in say("fleet", "register", chargers).out
    assert len(say("fleet", "token", "n-1", "--json").json["token"]) >= 32
    assert "n-1" in say("fleet", "list").out
    running.stack.world.release_firmware(PRODUCT, "2.0.0", b"image", pace=EMERGENCY_PACE)
    commission(running, sites=2, per_site=1, prefix="cmd")
    created = say("rollout", "create", "night", "--product", PRODUCT, "--version", "2.0.0", "--json")
    assert created.json["state"] == "draft"
    plan = ("rollout", "plan", "night", "--wave", "100%", "--soak-s", "1", "--preset", "demo")
    laid = say(*plan)
    assert (laid.status, "ends watched" in laid.out) == (0, True)
    proposed = say("rollout", "plan", "night", "--dry-run", "--json").json
    assert [wave["planned"] for wave in proposed["waves"]] == [1, 1]
    assert "what would buy more" in say("rollout", "plan", "night", "--lab").out
    assert say("rollout", "halt", "night", "--reason", "never mind").out.startswith("halted night")
    shown = say("rollout", "show", "night")
    assert "halted" in shown.out
    assert "night" in say("rollout", "list").out
    assert "is not offered" in say("rollout", "why", "night", "cmd-0-0").out
    assert say("rollout", "leftovers", "night").status == 0
    resumed = say("rollout", "resume", "night", "--reason", "we looked", "--json").json
    assert resumed["outcome"] == "awaiting_approval"
    assert resumed["approval"]["approval_id"] in say("approvals", "list").out
    alone = say("approvals", "approve", resumed["approval"]["approval_id"])
    assert (alone.status, alone.err.split(":")[0]) == (1, "approval.same_person")
    assert say("audit", "verify").status == 0


def test_an_action_on_a_stale_view_is_refused(running: Running, say: Say) -> None:
    """`--epoch` says what the person looked at."""
    commission(running, sites=2, per_site=1, prefix="stale")
    started(running, "stale", "2.1.0")
    assert say("rollout", "pause", "stale", "--reason", "x", "--epoch", "1").status == 3
    epoch = say("rollout", "show", "stale", "--json").json["rollout"]["epoch"]
    assert say("rollout", "pause", "stale", "--reason", "x", "--epoch", str(epoch)).status == 0


def test_a_changed_audit_copy_is_found(say: Say, tmp_path: Path) -> None:
    """A1: whoever changes one letter of who did what is found without the server's help."""
    say("principals", "make", "walter", "--role", "viewer", "--program", "--json")
    copy = tmp_path / "audit.ndjson"
    copy.write_text(say("audit", "export").out)
    assert main(["audit", "verify", "--file", str(copy)]) == 0
    copy.write_text(copy.read_text().replace("walter", "walther"))
    assert main(["audit", "verify", "--file", str(copy)]) == 70
    copy.write_text("no log")
    assert main(["audit", "verify", "--file", str(copy)]) == 2


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("rollout", "show", "no-such"), 2, "rollout.unknown"),
        (("fleet", "register", "no-such.csv"), 2, "file.unreadable"),
        (("rollout", "plan", "x"), 2, "rollout.unknown"),
        (("rollout", "plan", "x", "--file", "no-such.json"), 2, "file.unreadable"),
        (("principals", "renew", "no-such"), 2, "principal.unknown"),
    ],
)
def test_a_mistake_is_one_line_and_a_status(say: Say, words: Sequence[str], status: int, code: str) -> None:
    """A traceback tells an operator nothing, and a script that it was broken."""
    said = say(*words)
    assert (said.status, said.out) == (status, "")
    assert said.err.startswith(f"{code}: ")
    assert said.err.count("\n") == 1


def test_without_a_server_or_a_token_it_says_what_to_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of all first calls go wrong here."""
    for variable in ("TIDEGATE_URL", "TIDEGATE_TOKEN", "TIDEGATE_TOKEN_FILE"):
        monkeypatch.delenv(variable, raising=False)
    assert main(["rollout", "list"]) == 2
    assert "TIDEGATE_URL" in capsys.readouterr().err
    assert main(["rollout", "list", "--url", "http://127.0.0.1:9"]) == 2
    assert "TIDEGATE_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("TIDEGATE_TOKEN", "x")
    assert main(["rollout", "list", "--url", "http://127.0.0.1:9"]) == 75
    assert "api.unreachable" in capsys.readouterr().err
    assert main(["rollout", "list", "--dir", str(tmp_path)]) == 75
    assert "tidegate up" in capsys.readouterr().err


@contextmanager
def _process(*words: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """`tidegate ...` as a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.tidegate", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TIDEGATE_PASSPHRASE": PASSPHRASE, **environment},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _told(process: "subprocess.Popen[str]") -> Any:
    """What `--json` says once it answers."""
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def test_up_says_where_it_answers_and_stops_in_order(tmp_path: Path) -> None:
    """A stack that has to be killed loses what it had not yet written."""
    up = ("up", "--dir", str(tmp_path), "--port", "0", "--demo", "--json")
    with _process(*up) as process:
        told = _told(process)
        token = Path(told["admin_token_file"]).read_text().strip()
        assert Caller(told["url"], token).get("/api/v1/whoami").json["role"] == "admin"
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    assert not (tmp_path / "api.json").exists()


def _refused_to_start(*words: str) -> Said:
    """What `tidegate ...` says when it does not start: it must end by itself."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fakes.tidegate", *words],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env={**os.environ, "TIDEGATE_PASSPHRASE": PASSPHRASE},
    )
    return Said(done.returncode, done.stdout, done.stderr)


def _files(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("command", ["up", "serve"])
def test_a_taken_port_ends_the_command_with_one_line(tmp_path: Path, command: str) -> None:
    """A second stack that waited for ever, or ended with a traceback, would not say what to do at three at night."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        said = _refused_to_start(command, "--dir", str(tmp_path / "stack"), "--port", str(port), "--demo")
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("serve.port_taken: ")
    assert str(port) in said.err
    assert "--port" in said.err
    assert said.err.count("\n") == 1
    assert [path.name for path in _files(tmp_path)] == [LOCK_FILE], "it made neither keys nor a database"


@pytest.mark.parametrize("command", ["up", "serve"])
def test_a_database_of_a_newer_version_ends_the_command_with_one_line(tmp_path: Path, command: str) -> None:
    """Going back to an older program after an upgrade must not cost the fleet's rows, nor an hour of searching."""
    with Stack(tmp_path, StackOptions(passphrase=PASSPHRASE, make_keys=True, with_ticks=False)):
        pass
    (database,) = tmp_path.rglob("*.db")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = _files(tmp_path)
    said = _refused_to_start(command, "--dir", str(tmp_path), "--port", "0")
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("store.from_newer_version: ")
    assert "9999" in said.err
    assert said.err.count("\n") == 1
    assert _files(tmp_path) == before


def test_up_comes_back_after_it_was_killed(tmp_path: Path) -> None:
    """Power fails without asking."""
    up = ("up", "--dir", str(tmp_path), "--port", "0", "--demo", "--json")
    with _process(*up) as process:
        told = _told(process)
        token = Path(told["admin_token_file"]).read_text().strip()
        assert Caller(told["url"], token).put("/api/v1/principals/bob", {"role": "viewer"}).status == 201
        process.kill()
        assert process.wait(LIMIT_S) == -signal.SIGKILL
    with _process(*up) as process:
        told = _told(process)
        names = [one["name"] for one in Caller(told["url"], token).get("/api/v1/principals").json]
        assert names == ["admin", "bob"]


@pytest.mark.needs("redis")
@pytest.mark.xdist_group("redis")
def test_serve_with_a_worker_and_a_beat_moves_a_rollout(tmp_path: Path) -> None:
    """Where Celery ticks, nothing else does: without worker or beat the rollout would stand still."""
    directory = tmp_path / "stack"
    world = make_world(directory, passphrase=PASSPHRASE, clock=SystemClock())
    digest = world.release_firmware(PRODUCT, "1.1.0", b"1.1.0", pace=EMERGENCY_PACE).digest
    elsewhere = {"TIDEGATE_ROLLOUT_DATABASE_URL": f"sqlite:///{tmp_path / 'elsewhere.db'}"}
    serve_here = ("serve", "--dir", str(directory), "--port", "0", "--json")
    with redis_server(tmp_path) as broker, _process(*serve_here, **elsewhere) as serve:
        url = _told(serve)["url"]
        people = people_of(url, (directory / "admin.token").read_text().strip())
        chargers = commission(people, sites=2, per_site=1)
        opened(people, "spring", "1.1.0")
        epoch = people.admin.get("/api/v1/rollouts/spring").json["rollout"]["epoch"]
        for charger in chargers:
            request = charger.request("spring", digest, epoch)
            assert charger.ask(request).json["permit"] is not None
            charger.installs("spring", digest, "1.1.0", request.nonce)
        environment = {"TIDEGATE_ROLLOUT_BROKER_URL": broker, **elsewhere}
        with (
            _process("worker", "--dir", str(directory), **environment),
            _process("beat", "--tick-s", "0.2", **environment),
        ):
            _until_completed(people, chargers)


def _until_completed(people: People, chargers: list[HttpCharger]) -> None:
    moment = Event()
    for _ in range(LIMIT_S * 5):
        if people.admin.get("/api/v1/rollouts/spring").json["rollout"]["state"] == "completed":
            return
        for charger in chargers:
            if charger.poll()["report_wanted"]:
                charger.report()
        moment.wait(0.2)
    raise AssertionError("nobody ticked it")
