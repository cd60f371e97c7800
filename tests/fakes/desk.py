"""A person at the command line who holds every key: `tidegate keys`, `release` and `repository`, in one directory."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ops.cli import main
from otacore.clock import SystemClock
from otacore.trust import TrustedRepository
from repository.api.static import static_app


class Desk:
    """A person at the command line, in a directory of their own."""

    def __init__(self, home: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._capture = capture

    def types(self, line: str) -> tuple[int, str]:
        """Run a command; gives its exit status and everything it said. `~` is the directory."""
        self._capture.readouterr()
        status = main([word.replace("~", str(self.home)) for word in line.split()])
        said = self._capture.readouterr()
        return status, said.out + said.err

    def does(self, line: str) -> str:
        """Run a command that must succeed."""
        status, said = self.types(line)
        assert status == 0, said
        return said

    def client(self) -> TrustedRepository:
        """A charger's view, over HTTP without a network."""
        http = TestClient(static_app(self.home / "repository"))

        def fetch(url: str, *, limit_bytes: int) -> bytes | None:
            answer = http.get(url)
            return answer.content if answer.status_code == 200 else None

        client = TrustedRepository(
            directory=self.home / "client",
            factory_root=(self.home / "keys" / "root.json").read_bytes(),
            metadata_url="http://testserver/metadata/",
            targets_url="http://testserver/targets",
            fetch=fetch,
        )
        client.refresh(now_ms=SystemClock().now_ms())
        return client


def desk_after_ceremony(home: Path, capture: pytest.CaptureFixture[str]) -> Desk:
    """The first ceremony is held and published."""
    desk = Desk(home, capture)
    desk.does("keys init --template demo --out ~/keys")
    desk.does("repository init --bundle ~/keys/ceremony --repository ~/repository --keys ~/keys")
    return desk
