"""How `otacore.trust` gets metadata and small targets: whole bodies, bounded, over the kept connection.

It verifies nothing. An answer that says "not there" is read to its end, so that the look for the next root, which
normally ends in one, does not cost a new connection at each refresh.
"""

from device_client.adapters.http import Http, HttpRequest
from otacore.errors import Unavailable

ABSENT_PAGE_BYTES = 64 * 1024
"""A server may say "not there" with a page that is larger than the file would be."""
_OK = 200
# Stores of objects answer 403 for a name that is not there when listing is forbidden.
_ABSENT = frozenset({403, 404, 410})


class MetadataFetch:
    """The `Fetch` of otacore.trust."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __call__(self, url: str, *, limit_bytes: int) -> bytes | None:
        """Body of `url`, or None when there is none. Raises: Unavailable."""
        answer = self._http.exchange(HttpRequest(url), limit_bytes=max(limit_bytes, ABSENT_PAGE_BYTES))
        if answer.status in _ABSENT:
            return None
        if answer.media_type == "text/html":
            raise Unavailable("http.captive_portal", "a web page came instead of metadata; sign in to this network")
        if answer.status != _OK:
            raise Unavailable("http.status", f"the repository answered {answer.status}; try again later")
        if len(answer.body) > limit_bytes:
            raise Unavailable("http.answer_too_large", f"{len(answer.body)} bytes where {limit_bytes} are allowed")
        return answer.body
