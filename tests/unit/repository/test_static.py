"""Static serving: ranges, caches, and nothing beside the signed files."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from repository.api.static import static_app

IMAGE = bytes(range(256)) * 1000
IMAGE_URL = "/repository/targets/firmware/acme/1.0.0/" + "ab" * 32 + ".image.bin"


@pytest.fixture
def http(tmp_path: Path) -> TestClient:
    """The app as the stack mounts it, over a directory with things that must stay inside."""
    directory = tmp_path / "repository"
    image = directory / IMAGE_URL.removeprefix("/repository/")
    image.parent.mkdir(parents=True)
    image.write_bytes(IMAGE)
    (directory / "metadata").mkdir()
    (directory / "metadata" / "1.root.json").write_bytes(b'{"root": 1}')
    (directory / "metadata" / "timestamp.json").write_bytes(b'{"timestamp": 1}')
    (directory / "metadata" / ".2.root.json.new").write_bytes(b"half")
    (directory / "head.json").write_bytes(b"secret")
    (tmp_path / "keys.pem").write_bytes(b"secret")
    return TestClient(Starlette(routes=[Mount("/repository", static_app(directory))]))


def test_a_file_is_served_whole(http: TestClient) -> None:
    """Otherwise nothing else works."""
    answer = http.get(IMAGE_URL)
    assert (answer.status_code, answer.content) == (200, IMAGE)
    assert answer.headers["accept-ranges"] == "bytes"
    assert http.get("/repository/metadata/1.root.json").json() == {"root": 1}


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-0", 0, 0), ("bytes=1000-1999", 1000, 1999), ("bytes=255990-", 255990, 255999)],
)
def test_a_download_goes_on_where_it_stopped(http: TestClient, asked: str, first: int, last: int) -> None:
    """Otherwise every broken download would begin anew."""
    answer = http.get(IMAGE_URL, headers={"range": asked})
    assert answer.status_code == 206
    assert answer.content == IMAGE[first : last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(IMAGE)}"


def test_a_range_beyond_the_end_is_told(http: TestClient) -> None:
    """Otherwise a charger that has everything would wait for more."""
    answer = http.get(IMAGE_URL, headers={"range": f"bytes={len(IMAGE)}-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(IMAGE)}"


@pytest.mark.parametrize("asked", ["bytes=5-1", "bytes=x-y", "bytes=", "octets=0-1"])
def test_a_senseless_range_is_no_crash(http: TestClient, asked: str) -> None:
    """Otherwise anybody could fill the log with tracebacks."""
    assert http.get(IMAGE_URL, headers={"range": asked}).status_code in {200, 400, 416}


def test_only_the_timestamp_is_asked_for_again(http: TestClient) -> None:
    """Otherwise a cache would freeze chargers, or fetch unchanging files over and over."""
    timestamp = http.get("/repository/metadata/timestamp.json")
    assert timestamp.headers["cache-control"] == "no-cache"
    for url in ("/repository/metadata/1.root.json", IMAGE_URL):
        assert "immutable" in http.get(url).headers["cache-control"]


@pytest.mark.parametrize("url", ["/repository/metadata/timestamp.json", IMAGE_URL])
def test_what_is_known_already_is_not_sent_again(http: TestClient, url: str) -> None:
    """Otherwise every poll of a cache would carry the whole file."""
    etag = http.get(url).headers["etag"]
    answer = http.get(url, headers={"if-none-match": etag})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert http.get(url, headers={"if-none-match": '"other"'}).status_code == 200


def test_a_new_timestamp_has_a_new_tag(http: TestClient, tmp_path: Path) -> None:
    """Otherwise a cache would go on serving the old one."""
    before = http.get("/repository/metadata/timestamp.json").headers["etag"]
    (tmp_path / "repository" / "metadata" / "timestamp.json").write_bytes(b'{"timestamp": 2}')
    assert http.get("/repository/metadata/timestamp.json").headers["etag"] != before


@pytest.mark.parametrize(
    "path",
    [
        "head.json",
        "metadata",
        "metadata/",
        "metadata/2.root.json",
        "metadata/.2.root.json.new",
        "metadata/../head.json",
        "metadata/%2e%2e/head.json",
        "metadata/..%2fhead.json",
        "targets/../../keys.pem",
        "targets/%2e%2e/%2e%2e/keys.pem",
        "targets/..\\..\\keys.pem",
        "targets//etc/passwd",
        "targets/firmware",
        "targets/" + "a/" * 50 + "b",
        "targets/a%00b",
        "",
    ],
)
def test_nothing_else_is_shown(http: TestClient, path: str) -> None:
    """Otherwise the repository host would hand out its head, its keys, or half-written files."""
    answer = http.get(f"/repository/{path}")
    assert answer.status_code == 404
    assert b"secret" not in answer.content
    assert len(answer.content) < 100


def test_only_reading_is_allowed(http: TestClient) -> None:
    """Otherwise the public door would accept writes."""
    for method in ("POST", "PUT", "DELETE"):
        assert http.request(method, IMAGE_URL).status_code == 405
    assert http.head(IMAGE_URL).headers["content-length"] == str(len(IMAGE))
