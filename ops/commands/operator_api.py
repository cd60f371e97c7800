"""The operator API from outside: one call, its answer, and problems as our own errors.

It knows no command and prints nothing.

Rules:
1. A token comes from a file or the environment, never from an argument: other users of a machine can read those.
2. A problem answer becomes an error of the kind that its status means, with the server's code and hint.
3. Nothing is repeated by itself; whoever called decides.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from otacore.errors import Broken, Conflict, Misuse, OtaError, Refused, Unavailable

URL_VARIABLE = "TIDEGATE_URL"
TOKEN_VARIABLE = "TIDEGATE_TOKEN"  # noqa: S105 -- the name of a variable
TOKEN_FILE_VARIABLE = "TIDEGATE_TOKEN_FILE"  # noqa: S105 -- the name of a variable
API_FILE = "api.json"
ADMIN_TOKEN_FILE = "admin.token"  # noqa: S105 -- the name of a file
CONNECT_S = 5
ANSWER_S = 60
MAX_ANSWER_BYTES = 256 * 1024 * 1024
MAX_TOKEN_BYTES = 1000
LINES = "application/x-ndjson"
GOOD = range(200, 300)
KIND_OF_STATUS: Mapping[int, type[OtaError]] = {
    401: Refused,
    403: Refused,
    404: Misuse,
    409: Conflict,
    422: Refused,
    500: Broken,
    503: Unavailable,
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the operator API."""

    method: str
    path: str
    body: Any = None
    """Sent as JSON; text is sent as CSV."""
    headers: Mapping[str, str] = field(default_factory=dict)


class OperatorApi:
    """Speaks to one server as one principal."""

    def __init__(self, *, url: str, token: str) -> None:
        if urlsplit(url).scheme not in {"http", "https"}:
            raise Misuse("api.bad_url", f"{url!r} is no http or https address: correct --url")
        self._url = url.rstrip("/")
        self._token = token
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=CONNECT_S, read=ANSWER_S), retries=False)

    def send(self, call: Call) -> Any:
        """The answer's JSON. Raises: the five kinds, by the answer's status."""
        headers = {"authorization": f"Bearer {self._token}", **call.headers}
        body: bytes | None = None
        if isinstance(call.body, str):
            headers["content-type"], body = "text/csv", call.body.encode()
        elif call.body is not None:
            headers["content-type"], body = "application/json", json.dumps(call.body).encode()
        try:
            response = self._pool.request(
                call.method, f"{self._url}/api/v1{call.path}", body=body, headers=headers, preload_content=False
            )
            data = response.read(MAX_ANSWER_BYTES + 1)
            response.release_conn()
        except HTTPError as error:
            raise Unavailable(
                "api.unreachable", f"{self._url} does not answer: is `tidegate up` running there?"
            ) from error
        if len(data) > MAX_ANSWER_BYTES:
            raise Misuse("api.answer_too_large", "the answer is too large for this command: ask for less of it")
        if response.headers.get("content-type", "").startswith(LINES):
            data = b"[" + b",".join(data.splitlines()) + b"]"
        return _answer(response.status, data)


def _answer(status: int, data: bytes) -> Any:
    try:
        plain = json.loads(data) if data else None
    except ValueError as error:
        raise Broken("api.not_ours", "the answer is no JSON: is there something else at this address?") from error
    if status in GOOD:
        return plain
    told = plain if isinstance(plain, dict) else {}
    hint = str(told.get("detail", f"the server answered {status}"))
    faults = "; ".join(f"{fault['where']}: {fault['what']}" for fault in told.get("faults", []))
    kind = KIND_OF_STATUS.get(status, Misuse)
    raise kind(str(told.get("code", "api.failed")), f"{hint}: {faults}" if faults else hint)


def find_api(*, url: str | None, token_file: Path | None, directory: Path | None) -> OperatorApi:
    """The server that arguments, environment or a running stack's directory name. Raises: Misuse, Unavailable."""
    if url is None and directory is not None:
        url = _running_url(directory)
    url = url or os.environ.get(URL_VARIABLE)
    if not url:
        raise Misuse("api.no_url", f"say where the server is: --dir, --url or {URL_VARIABLE}")
    return OperatorApi(url=url, token=_token(token_file, directory))


def _running_url(directory: Path) -> str:
    try:
        told = json.loads((directory / API_FILE).read_bytes())
        return str(told["url"])
    except FileNotFoundError as error:
        raise Unavailable(
            "api.not_running", f"nothing runs on {directory}: start `tidegate up --dir {directory}`"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Broken("api.bad_file", f"{directory / API_FILE} cannot be read: start `tidegate up` again") from error


def _token(token_file: Path | None, directory: Path | None) -> str:
    if token_file is None and (named := os.environ.get(TOKEN_FILE_VARIABLE)):
        token_file = Path(named)
    if token_file is None and (token := os.environ.get(TOKEN_VARIABLE)):
        return token.strip()
    if token_file is None and directory is not None:
        token_file = directory / ADMIN_TOKEN_FILE
    if token_file is None:
        raise Misuse("api.no_token", f"say who you are: --token-file, {TOKEN_FILE_VARIABLE} or {TOKEN_VARIABLE}")
    try:
        with token_file.open() as file:
            return file.read(MAX_TOKEN_BYTES).strip()
    except OSError as error:
        raise Misuse("api.no_token", f"{token_file} cannot be read: {error.strerror}") from error
