"""The contract of a repository store, run on the fake and on the directory."""

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from otacore.errors import Broken, Conflict, Misuse, Refused
from repository.adapters.directory import DirectoryStore
from repository.service.ports import Store
from tests.fakes.memory_store import MemoryStore

NAME, MUTABLE = "metadata/1.root.json", "metadata/timestamp.json"


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path / "repository")


def test_a_name_that_was_never_written_is_not_there(store: Store) -> None:
    """Otherwise "not there" and "empty" would be one."""
    assert store.read(NAME) is None
    assert store.load(MUTABLE) is None


def test_what_was_put_is_read_back(store: Store) -> None:
    """Otherwise nothing else here means anything."""
    store.put(NAME, b"root")
    store.put("targets/a/b/c.bin", b"")
    assert (store.read(NAME), store.read("targets/a/b/c.bin")) == (b"root", b"")


def test_put_never_changes_a_name(store: Store) -> None:
    """Otherwise a version could mean two files, and a client's hash would fail."""
    store.put(NAME, b"root")
    store.put(NAME, b"root")
    with pytest.raises(Conflict, match=r"store\.immutable"):
        store.put(NAME, b"other")
    assert store.read(NAME) == b"root"


def test_pieces_are_put_whole_and_compared_with_their_hash(store: Store) -> None:
    """Otherwise half an image, or another one, would lie under a signed name."""
    pieces = (b"one", b"two")
    with pytest.raises(Refused, match=r"store\.wrong_hash"):
        store.put_pieces("targets/image.bin", pieces, sha256="00" * 32)
    assert store.read("targets/image.bin") is None
    store.put_pieces("targets/image.bin", pieces, sha256=hashlib.sha256(b"onetwo").hexdigest())
    store.put_pieces("targets/image.bin", pieces, sha256=hashlib.sha256(b"onetwo").hexdigest())
    assert store.read("targets/image.bin") == b"onetwo"
    with pytest.raises(Conflict, match=r"store\.immutable"):
        store.put_pieces("targets/image.bin", (b"x",), sha256=hashlib.sha256(b"x").hexdigest())


def test_swap_replaces_only_what_is_expected(store: Store) -> None:
    """Otherwise two publishers would overwrite each other."""
    store.swap(MUTABLE, b"1", expected=None)
    with pytest.raises(Conflict, match=r"store\.moved"):
        store.swap(MUTABLE, b"2", expected=None)
    first = store.load(MUTABLE)
    assert first is not None
    store.swap(MUTABLE, b"2", expected=first.tag)
    with pytest.raises(Conflict, match=r"store\.moved"):
        store.swap(MUTABLE, b"3", expected=first.tag)
    assert store.read(MUTABLE) == b"2"
    with pytest.raises(Conflict, match=r"store\.moved"):
        store.swap("metadata/other.json", b"x", expected=first.tag)


def test_of_many_swaps_at_once_one_wins(store: Store) -> None:
    """Otherwise two operators at the same moment could both be told that they published."""
    store.swap(MUTABLE, b"0", expected=None)
    tag = store.load(MUTABLE)
    assert tag is not None
    if isinstance(store, MemoryStore):
        outcomes = [_swap(store, number, tag.tag) for number in range(8)]
    else:
        with ThreadPoolExecutor(8) as threads:
            outcomes = list(threads.map(lambda number: _swap(store, number, tag.tag), range(8)))
    assert sorted(outcomes) == [False] * 7 + [True]


def _swap(store: Store, number: int, tag: str) -> bool:
    try:
        store.swap(MUTABLE, str(number).encode() * 1000, expected=tag)
    except Conflict:
        return False
    return True


def test_publishers_of_several_processes_exclude_each_other(tmp_path: Path) -> None:
    """Otherwise the command line and a running stack could publish over each other."""
    program = (
        "import sys; from pathlib import Path; from repository.adapters.directory import DirectoryStore as D\n"
        "from otacore.errors import Conflict\n"
        "store, won = D(Path(sys.argv[1])), 0\n"
        "for _ in range(60):\n"
        "    tagged = store.load('head.json')\n"
        "    number = int(tagged.data) if tagged else 0\n"
        "    try:\n"
        "        store.swap('head.json', str(number + 1).encode(), expected=tagged.tag if tagged else None); won += 1\n"
        "    except Conflict: pass\n"
        "print(won)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    won = sum(int(process.communicate(timeout=60)[0]) for process in running)
    assert DirectoryStore(tmp_path).read("head.json") == str(won).encode()


@pytest.mark.parametrize(
    "name", ["../x", "metadata/../../x", "/etc/x", "", "metadata//x", ".lock", "metadata/.x", "a/."]
)
def test_no_name_leads_out_of_the_directory(tmp_path: Path, name: str) -> None:
    """Otherwise a name in signed metadata could write anywhere on the host."""
    store = DirectoryStore(tmp_path / "repository")
    acts: tuple[Callable[[], object], ...] = (
        lambda: store.put(name, b"x"),
        lambda: store.read(name),
        lambda: store.swap(name, b"x", expected=None),
    )
    for act in acts:
        with pytest.raises(Misuse, match=r"store\.bad_name"):
            act()
    assert list(tmp_path.rglob("x")) == []


def test_a_writer_that_died_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    """Otherwise half a file of a crashed publisher would stop the next one, or be served."""
    store = DirectoryStore(tmp_path)

    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.put_pieces("targets/image.bin", pieces(), sha256=hashlib.sha256(b"whole").hexdigest())
    assert store.read("targets/image.bin") is None
    store.put_pieces("targets/image.bin", (b"whole",), sha256=hashlib.sha256(b"whole").hexdigest())
    assert store.read("targets/image.bin") == b"whole"
    assert [path.name for path in (tmp_path / "targets").iterdir()] == ["image.bin"]


def test_a_directory_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """Otherwise a wrong path would end in a traceback."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Broken, match=r"disk\.failed"):
        DirectoryStore(tmp_path / "file").put(NAME, b"x")


def test_a_disk_that_fails_is_told_of_whatever_was_being_done(tmp_path: Path) -> None:
    """Otherwise an error that nobody foresaw would end whatever was publishing, with all that it had yet to do."""
    store = DirectoryStore(tmp_path / "repository")
    (tmp_path / "repository" / NAME).mkdir(parents=True)
    with pytest.raises(Broken, match=r"disk\.failed"):
        store.put(NAME, b"x")
    (tmp_path / "repository" / ".lock").mkdir()
    with pytest.raises(Broken, match=r"disk\.failed"):
        store.swap(MUTABLE, b"x", expected=None)
