"""The connector to copy: a source of files at an HTTP address. `index.json` there lists them: [{ "key": …, "size": …, "etag": … }, …].

Owned here: which requests are made and what their answers mean. Host names, credentials, retries and the bytes of files are the host's.
Called by `connector.py`; the build finds the classes by their names, which are those of the resources of the contract.
"""

import json
from dataclasses import replace
from typing import Any, Optional

from componentize_py_types import Err, Ok
from credenza_sdk import document, encode_path, entry, error, error_of, one_level, send, settings
from wit_world.exports import source
from wit_world.imports import http
from wit_world.imports.settings import Config
from wit_world.imports.types import ByteRange, Check, Entry, EntryKind, ErrorClass

ENDPOINT = "files"
INDEX_BYTES_MAX = 64 * 1024 * 1024


class Session(source.Session):
    def __init__(self, config: Config):
        known = settings(config)
        self.folder = known.get("folder", "").strip("/")
        self.identity = f"index://{known.get('host')}/{self.folder}"

    def info(self):
        return source.SourceInfo(self.identity, "flat", ["ordered-scan", "complete-scan", "fingerprints"])

    def now(self):
        return None

    def check(self):
        try:
            return [Check("read the index", Ok(f"{len(self._index())} files"))]
        except Err as failure:
            return [Check("read the index", failure)]

    def scan(self, options: source.ScanOptions):
        shown = [found for found in self._index() if found.key.startswith(options.prefix)]
        if options.one_level:
            shown = one_level(shown, len(options.prefix))
        after = options.start_after
        return Scanner([found for found in shown if after is None or found.key > after])

    def read(self, entry: Entry, range: Optional[ByteRange], if_match: Optional[str]):
        if range is not None:
            raise error(ErrorClass.UNSUPPORTED, "index.range", "this source reads whole files only")
        key = _name_of(entry.key)
        response = self._get(key)
        etag, length = response.header("etag"), response.header("content-length")
        is_resized = None not in (entry.size, length) and int(length) != entry.size
        if if_match is not None and (is_resized or etag not in (None, if_match)):
            raise error(ErrorClass.PRECONDITION, "index.changed", f"`{key}` was changed since it was listed")
        found = replace(entry, size=int(length), fingerprint=etag) if is_resized else entry
        return source.Opened(found, source.Content_Ready(http.Response.into_body(response)))

    def describe(self, entries: list[Entry]):
        return [Ok(found.attributes) for found in entries]

    def documents(self):
        return []

    def _get(self, name: str) -> http.Response:
        path = f"/{self.folder}/{name}" if self.folder else f"/{name}"
        response = send("GET", ENDPOINT, encode_path(path))
        if response.status() != 200:
            raise error_of(response, "index.status", f"reading `{name}`")
        return response

    def _index(self) -> list[Entry]:
        """What the index lists, in the order of the keys. Without an index there is no such place, which is not an empty one."""
        try:
            answer = self._get("index.json")
        except Err as failure:
            if failure.value.class_ != ErrorClass.NOT_FOUND:
                raise
            message = f"{self.identity} has no index.json; check host and folder"
            raise error(ErrorClass.CONFIGURATION, "index.missing", message) from None
        listed = _listed(document(answer, INDEX_BYTES_MAX))
        return sorted(map(_entry_of, listed), key=lambda found: found.key)


class Scanner(source.Scanner):
    def __init__(self, entries: list[Entry]):
        self.entries = entries
        self.at = 0

    def next(self, max: int):
        piece = self.entries[self.at : self.at + max]
        self.at += len(piece)
        return source.Batch([source.Found_Entry(found) for found in piece], self.at < len(self.entries))


class Reader(source.Reader):
    def read(self, max: int):
        raise error(ErrorClass.UNSUPPORTED, "index.reader", "this source makes no bytes of its own")


def _name_of(key: bytes) -> str:
    """The key as text; no other has an address here."""
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise error(ErrorClass.NOT_FOUND, "index.not-text", "the key is no text, so that no file has it") from None


def _entry_of(one: dict[str, Any]) -> Entry:
    """A file as the index has it. What is no size and no tag is not known; a key that is no text has no address, and is listed all the same."""
    key, size, etag = one["key"].encode(errors="surrogatepass"), one.get("size"), one.get("etag")
    is_size = type(size) is int and 0 <= size < 1 << 63
    return entry(key, EntryKind.FILE, size if is_size else None, etag if isinstance(etag, str) else None)


def _listed(text: bytes) -> list[dict[str, Any]]:
    """The list in a text. Whatever else a server answers, with whatever status, is an error and no empty list."""
    try:
        listed = json.loads(text)
    except ValueError:
        listed = None
    if isinstance(listed, list) and all(isinstance(one, dict) and isinstance(one.get("key"), str) for one in listed):
        return listed
    raise error(ErrorClass.CORRUPT, "index.no-list", "the index is no list of files with a key each; check host and folder")
