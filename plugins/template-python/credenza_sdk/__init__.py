"""What every connector in Python needs over the contract in `wit/`: settings, requests, errors, and paths as the host sends them.

Owned here: no provider. A function of the contract that answers `result` returns the value, or raises what `error` makes.
"""

from typing import Any, Iterable, Optional
from urllib.parse import quote

from componentize_py_types import Err
from wit_world.imports import http
from wit_world.imports.bodies import Body, IoError
from wit_world.imports.http import FailureKind
from wit_world.imports.settings import Config
from wit_world.imports.types import Entry, EntryKind, Error, ErrorClass

READ_BYTES = 1024 * 1024
"""Most bytes of one `body.read`."""


def error(error_class: ErrorClass, reason: str, message: str, retry_after_ms: Optional[int] = None) -> Err[Error]:
    """An error for the host, to be raised: what it should do, a short cause, one sentence."""
    return Err(Error(error_class, reason, message, retry_after_ms))


def class_of(status: int) -> ErrorClass:
    """The class that a status of HTTP stands for. A redirect is not followed: the user names the place where things are."""
    if status in (404, 410):
        return ErrorClass.NOT_FOUND
    if status in (401, 403):
        return ErrorClass.DENIED
    if status == 412:
        return ErrorClass.PRECONDITION
    if 300 <= status < 400:
        return ErrorClass.CONFIGURATION
    if status in (408, 425, 429) or status >= 500:
        return ErrorClass.TRANSIENT
    return ErrorClass.UNSUPPORTED


def error_of(response: http.Response, reason: str, action: str) -> Err[Error]:
    """The error of an answer whose status is none of success; `action` names what was tried, as in "reading `a`"."""
    status = response.status()
    seconds = response.header("retry-after") or ""
    wish = int(seconds) * 1000 if seconds.isascii() and seconds.isdigit() and len(seconds) < 10 else None
    return error(class_of(status), reason, f"{action} failed: the server answered status {status}", wish)


def settings(config: Config) -> dict[str, Any]:
    """Settings by name; durations are milliseconds, sizes are bytes."""
    return {setting.name: setting.value.value for setting in config.settings}


def send(method: str, endpoint: str, target: str, headers: Iterable[tuple[str, str]] = ()) -> http.Response:
    """Sends a request without a body to an endpoint of the manifest."""
    try:
        return http.send(http.Request(method, endpoint, target, list(headers)), None)
    except Err as failed:
        failure = failed.value
        is_refused = failure.kind == FailureKind.REFUSED
        error_class = ErrorClass.DENIED if is_refused else ErrorClass.TRANSIENT
        raise error(error_class, failure.reason, failure.message) from None


def document(response: http.Response, most: int) -> bytes:
    """All bytes of an answer, at most so many: for documents, not for content, which is handed on as it is."""
    body = http.Response.into_body(response)
    whole = bytearray()
    while piece := _read(body):
        whole += piece
        if len(whole) > most:
            raise error(ErrorClass.CORRUPT, "document.too-long", f"the answer has more than {most} bytes")
    return bytes(whole)


def _read(body: Body) -> bytes:
    try:
        return body.read(READ_BYTES)
    except Err as failed:
        fault: IoError = failed.value
        raise error(ErrorClass.TRANSIENT, fault.reason, fault.message) from None


def encode_path(path: str) -> str:
    """Percent-encodes a path; `/` stays."""
    return quote(path, safe="/")


def one_level(entries: Iterable[Entry], prefix_length: int) -> list[Entry]:
    """What one level below a prefix of so many bytes shows of entries in order: what lies deeper stands as the folder that it lies in."""
    shown: dict[bytes, Entry] = {}
    for found in entries:
        end = found.key.find(b"/", prefix_length)
        key = found.key if end < 0 else found.key[: end + 1]
        shown[key] = found if end < 0 else entry(key, EntryKind.DIRECTORY)
    return list(shown.values())


def entry(key: bytes, kind: EntryKind, size: Optional[int] = None, fingerprint: Optional[str] = None) -> Entry:
    """An entry with its key and kind; the rest is what is not known."""
    return Entry(key, kind, size, None, fingerprint, None, None, None, [], [])
