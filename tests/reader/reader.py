#!/usr/bin/env python3
"""reader.py REPOSITORY: reads a repository in a folder, verifies all of it, and lists what its snapshots restore to.

    --passphrase-file FILE, --key-file FILE, --identity-file FILE    what opens it; nothing for one in plain text
    --without-index                                                  find chunks by the packs' own tables

Each line names a snapshot, the kind of an entry, the BLAKE3 of its content (of a link, of its target) and its key, in
which everything but visible ASCII and `%` is written as %XX. Damage goes to stderr; the exit code is 20 then.

An independent reader, written from host/format/FORMAT.md and CRYPTO.md alone: it proves that they suffice to get data
back. It holds a whole repository in memory.
"""

import argparse
import hashlib
import json
import struct
import sys
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import zstandard
from blake3 import blake3

from keys import (
    DATE, FOLDERS, SUITES, Damage, Keyring, Keys, Sealed, Text, keyed, require, unwrap, verify_signature,
)
from parity import Parity

ENTRY_KINDS = {0: "file", 1: "directory", 2: "symlink", 3: "other"}
FORM_LEAF, FORM_INNER, FORM_LIST = 1, 2, 3


def inflate(encoding, stored, length):
    require(encoding in (0, 1), "an unknown encoding")
    try:
        plain = stored if encoding == 0 else zstandard.ZstdDecompressor().decompress(stored, max_output_size=length)
    except zstandard.ZstdError as cause:
        raise Damage(f"it does not inflate: {cause}") from None
    require(len(plain) == length, "it inflates to another length")
    return plain


@lru_cache(maxsize=1)
def inflate_group(stored):
    """The plaintexts of the members of a group, by their ids."""
    fields = Bytes(inflate(1, stored[4:], struct.unpack_from("<I", stored)[0]))
    (count,) = fields.unpack("I")
    require(1 <= count <= 4096, "a group counts too few members or too many")
    members = [fields.unpack("32sI") for _ in range(count)]
    bodies = {member: fields.take(size) for member, size in members}
    require(fields.is_empty(), "the members of a group end elsewhere")
    return bodies


def inflate_member(stored, identity, length):
    """The plaintext of one member of a group, of which the last is remembered."""
    bodies = inflate_group(bytes(stored))
    require(len(bodies.get(identity, b"")) == length and identity in bodies, "a group lacks its member")
    return bodies[identity]


class Bytes:
    """Reads fields from the front of some bytes."""

    def __init__(self, content):
        self.content, self.at = content, 0

    def take(self, length):
        require(self.at + length <= len(self.content), "it ends too soon")
        self.at += length
        return self.content[self.at - length : self.at]

    def unpack(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def varint(self):
        value = shift = 0
        while True:
            (byte,) = self.take(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                require(byte > 0 or shift == 7, "a varint is not in its shortest form")
                return value

    def sized(self):
        return self.take(self.varint())

    def is_empty(self):
        return self.at == len(self.content)


class Pack:
    """The blobs of a pack by its own table, each verified."""

    def __init__(self, keys, kind, sealed):
        plain, self.sealed, self.kind = sealed.plain, sealed, kind
        bodies, count, magic, version, zero = struct.unpack("<II4sHH", plain[-16:])
        require((magic, version, zero) == (b"CRPK", 1, 0), "its trailer is none")
        footer = Bytes(plain[len(plain) - 16 - 48 * count : -16])
        self.table, self.blobs, end, group = [], {}, 0, None
        for _ in range(count):
            identity, blob_kind, encoding, zero, offset, stored, length = footer.unpack("32sBBHIII")
            allowed = (0,) if kind == 1 else (1, 2)
            place = (offset, stored) if encoding == 2 else None
            shared = place is not None and place == group
            require(zero == 0 and (offset == end or shared) and blob_kind in allowed, "its table is wrong")
            end, group = offset + stored, place
            body = plain[offset:end]
            content = inflate_member(body, identity, length) if encoding == 2 else inflate(encoding, body, length)
            key = keys.data_id if blob_kind == 0 else keys.meta_id
            require(keyed(key, content) == identity, f"chunk {identity.hex()} has other bytes than its id says")
            self.table.append((identity, blob_kind, encoding, offset, stored, length))
            self.blobs[identity] = content
        require(end == bodies, "its bodies end elsewhere")


def decode_index(body):
    """The packs of an index segment, each with header, size, digest and table."""
    fields = Bytes(body)
    version, zero, pack_count, blob_count, superseded_count = fields.unpack("HHIII")
    require((version, zero) == (1, 0), "an unknown version")
    fields.take(16 * superseded_count)
    packs = []
    for _ in range(pack_count):
        identity, kind, flags, zero, header, size, digest, blobs = fields.unpack("16sBBH128sQ32sI")
        require(flags in (0, 1) and zero == 0, "unknown flags")
        said = {"kind": kind, "header": header, "size": size, "sha256": digest}
        packs.append({"id": identity, "table": [None] * blobs, **said})
    last = b""
    for _ in range(blob_count):
        identity, pack, low, high, flags, offset, stored, length = fields.unpack("32sIHBBIII")
        require(identity >= last, "its blobs do not ascend")
        last, position = identity, low | high << 16
        packs[pack]["table"][position] = (identity, flags >> 4, flags & 15, offset, stored, length)
    whole = fields.is_empty() and all(None not in pack["table"] for pack in packs)
    require(whole, "it names other blobs than it counts")
    return packs


def decode_usage(body):
    """For each pack of a usage list, in order, the positions of the blobs that are used."""
    fields = Bytes(body)
    version, zero, count = fields.unpack("HHI")
    require((version, zero) == (1, 0), "an unknown version")
    used = {}
    for _ in range(count):
        pack, blobs, form = fields.unpack("16sIB")
        bits = fields.take((blobs + 7) // 8) if form == 1 else b"\xff" * ((blobs + 7) // 8)
        used[pack] = (blobs, [place for place in range(blobs) if bits[place // 8] >> place % 8 & 1])
    require(fields.is_empty() and list(used) == sorted(used), "its packs do not ascend")
    return used


def decode_record(fields):
    """The fields of a record by their tags."""
    record, last = {}, 0
    while not fields.is_empty():
        (tag,) = fields.take(1)
        require(tag > last, "its tags do not ascend")
        require(tag <= 13 or tag >= 128, f"unknown tag {tag}")
        last, record[tag] = tag, fields.sized()
    require(1 in record, "a record has no kind")
    return record


def decode_node(content, level):
    """The items of a tree node: (key, record) in a leaf, (last key, child's id) above."""
    fields = Bytes(content)
    form, version, found, zero, count = fields.unpack("BBBBI")
    require(version == 1 and zero == 0 and found == level, "it is a node of another level")
    require(form == (FORM_LEAF if level == 0 else FORM_INNER), "it is another node")
    items, key = [], b""
    for _ in range(count):
        shared = fields.varint()
        require(shared <= len(key), "it shares more than there is")
        key = key[:shared] + fields.sized()
        if level == 0:
            items.append((key, decode_record(Bytes(fields.sized()))))
        else:
            child, _length, _entries, _bytes = fields.unpack("32sIQQ")
            items.append((key, child))
    require(fields.is_empty(), "it goes on behind its last item")
    return items


def decode_references(fields, length="I"):
    references = []
    while not fields.is_empty():
        references.append(fields.unpack(f"32s{length}"))
    return references


def decode_note(body):
    """A note, with the signature of its heads; those of unknown types are passed over."""
    note = json.loads(body)
    require(note["version"] == 1, "an unknown version")
    if note["type"] == "replica" and (note.get("signer") or note.get("signature")):
        moment, _, fraction = note["as_of"].removesuffix("Z").partition(".")
        seconds = int(datetime.fromisoformat(moment + "+00:00").timestamp())
        signed = bytes.fromhex(note["origin"]) + struct.pack("<qI", seconds, int(fraction.ljust(9, "0") or 0))
        for head in note["heads"]:
            sequence = struct.pack("<Q", head["sequence"])
            signed += bytes.fromhex(head["writer"]) + sequence + bytes.fromhex(head["digest"])
        message = (DATE + "replica heads").encode() + b"\0" + signed
        verify_signature(bytes.fromhex(note["signer"]), bytes.fromhex(note["signature"]), message, "the origin's heads")
    if note["type"] == "drill":
        require(len(bytes.fromhex(note["seed"])) == 16 and note["errors"] >= 0, "a drill that is none")
    if note["type"] == "configuration":
        names = [file["name"] for file in note["files"]]
        require(all(name and name[0] != "." and "/" not in name for name in names), "a file with a name that is none")
        require(sum(len(file["text"].encode()) for file in note["files"]) <= 1 << 20, "files that are too long")
    return note


def decode_connector(body):
    """The head of an escrowed connector, whose component must be the one that it names."""
    (length,) = struct.unpack_from("<I", body)
    head, component = json.loads(body[4 : 4 + length]), body[4 + length :]
    require(head["version"] == 1, "an unknown version")
    require(blake3(component).hexdigest() == head["digest"], "it is another connector than it names")
    return head


class Repository:
    """A repository in a folder, opened; what is damaged is collected."""

    def __init__(self, folder, secret):
        self.folder, self.damages, self.slots = folder, [], {}
        config = self.text("config", "repository", "signature")
        self.repository = bytes.fromhex(config.fields["repository"])
        keyring = self.unlock(secret) if config.fields["encrypted"] else Keyring.public()
        self.keys = Keys(self.repository, keyring)
        self.keys.verify_text(config, config.seal)
        for name, slot in self.slots.items():
            self.guarded(name, lambda slot=slot: self.keys.verify_slot(slot))
        require(set(config.fields["required_features"]) <= {"parity"}, "it requires unknown features")
        self.parities = self.read_parities() if "parity" in config.fields["required_features"] else {}
        require(SUITES[config.fields["suite"]] == keyring.suite, "config and keyring name different suites")
        require(config.fields["epoch"] in keyring.epochs, "the keyring was left behind by a rotation")
        self.places, self.packs = {}, {}

    def text(self, name, title, word):
        """A text document, or its copy where it is gone or damaged, which is noted."""
        first, copy = self.folder / name, self.folder / "copy" / name
        if copy.is_file():
            self.guarded(f"copy/{name}", lambda: Text(copy.read_bytes(), title, word))
        try:
            require(first.is_file(), "it is missing")
            return Text(first.read_bytes(), title, word)
        except Damage as cause:
            require(copy.is_file(), f"{name}: {cause}")
            self.damages.append(f"{name}: {cause}")
            return Text(copy.read_bytes(), title, word)

    def texts(self, folder):
        """The names of the text documents in a folder that are there, or have a copy."""
        folders = (self.folder / folder, self.folder / "copy" / folder)
        return [f"{folder}/{name}" for name in sorted({path.name for each in folders for path in each.glob("*")})]

    def unlock(self, secret):
        require(secret is not None, "it is encrypted, and no secret was given")
        self.slots = {name: self.text(name, "key", "wrapped") for name in self.texts("key")}
        slots = list(self.slots.values())
        # Full access first, then the newest: an interrupted rotation leaves two.
        slots.sort(key=lambda slot: slot.fields["created"], reverse=True)
        slots.sort(key=lambda slot: slot.fields.get("access", "full") != "full")
        opened = (unwrap(slot, self.repository, secret) for slot in slots)
        wrapped = next((keyring for keyring in opened if keyring is not None), None)
        require(wrapped is not None, "the secret opens no key slot")
        return Keyring.decode(wrapped)

    def guarded(self, name, act):
        """Does something with an object and notes what is wrong with it."""
        try:
            return act()
        except Damage as cause:
            self.damages.append(f"{name}: {cause}")
            return None

    def read_parities(self):
        """Parity by its pack, as far as it can be read; what is hurt of it is noted."""
        found = {}
        for path in sorted(path for path in (self.folder / "parity").glob("*") if path.is_file()):
            def opened(path=path):
                parity = Parity(path.read_bytes())
                named = (parity.repository, parity.pack.hex()) == (self.repository, path.name)
                require(named, "it belongs elsewhere")
                found[parity.pack] = parity
                require(parity.is_whole, "it is hurt in part")
            self.guarded(f"parity/{path.name}", opened)
        return found

    def sealed(self, kind, identity, name, content):
        """A sealed object, opened; a pack that is hurt, as its parity makes it whole, which is noted."""
        try:
            return Sealed(self.keys, kind, identity, content)
        except Damage as cause:
            if kind not in (1, 2) or identity not in self.parities:
                raise
            healed, hurt = self.parities[identity].heal(content)
            sealed = Sealed(self.keys, kind, identity, healed)
            self.damages.append(f"{name}: {cause}; whole by its parity, segments {hurt} were hurt")
            return sealed

    def objects(self, kind):
        """Every object of a kind that is whole, by its id."""
        folder, found = self.folder / FOLDERS[kind], {}
        for path in sorted(path for path in folder.glob("**/*") if path.is_file()):
            name = str(path.relative_to(self.folder))
            identity = bytes.fromhex(path.name)
            sealed = self.guarded(name, lambda: self.sealed(kind, identity, name, path.read_bytes()))
            if sealed is not None:
                found[identity] = sealed
        return found

    def documents(self, kind, decode):
        """Every document of a kind, decoded, with the object that it is in."""
        found = {}
        for identity, sealed in self.objects(kind).items():
            def opened(sealed=sealed):
                encoding, length, stored = struct.unpack_from("<BII", sealed.plain)
                require(not any(sealed.plain[9 + stored :]), "it is not padded with zeros")
                return decode(inflate(encoding, sealed.plain[9 : 9 + stored], length))
            document = self.guarded(f"{FOLDERS[kind]}/{identity.hex()}", opened)
            if document is not None:
                found[identity] = (document, sealed)
        return found

    def read_packs(self):
        for kind in (1, 2):
            for identity, sealed in self.objects(kind).items():
                name = f"{FOLDERS[kind]}/{identity.hex()[:2]}/{identity.hex()}"
                pack = self.guarded(name, lambda sealed=sealed: Pack(self.keys, kind, sealed))
                if pack is not None:
                    self.packs[identity] = pack

    def read_index(self):
        """Where blobs are, by the index, each of whose packs must be as it says."""
        described = {}
        for packs, _ in self.documents(3, decode_index).values():
            described.update({pack["id"]: pack for pack in packs})
        gone = {pack for document, _ in self.documents(7, json.loads).values() for pack in document["packs"]}
        for identity, pack in described.items():
            name = f"{FOLDERS[pack['kind']]}/{identity.hex()[:2]}/{identity.hex()}"
            if identity in self.packs:
                self.guarded(name, lambda identity=identity, pack=pack: self.compare(self.packs[identity], pack))
                self.places.update({blob[0]: identity for blob in pack["table"]})
            elif identity.hex() not in gone and not (self.folder / name).exists():
                self.damages.append(f"{name}: it is missing")
        return described

    @staticmethod
    def compare(pack, described):
        found = (pack.kind, pack.sealed.header, pack.sealed.size, pack.sealed.sha256, pack.table)
        said = tuple(described[field] for field in ("kind", "header", "size", "sha256", "table"))
        require(found == said, "the index says something else of it")

    def blob(self, identity):
        require(identity in self.places, f"chunk {identity.hex()} is nowhere")
        return self.packs[self.places[identity]].blobs[identity]

    def content(self, record):
        """The content of a record; what it refers to is noted in `used`."""
        if 11 in record:
            references = decode_references(Bytes(record[11]))
        elif 12 in record:
            references = self.lists(record[12][0], decode_references(Bytes(record[12][1:]), "Q"))
        else:
            return record.get(10, b"")
        chunks = [(self.blob(identity), length) for identity, length in references]
        self.used.update(identity for identity, _ in references)
        require(all(len(chunk) == length for chunk, length in chunks), "a chunk has another length")
        return b"".join(chunk for chunk, _ in chunks)

    def lists(self, height, references):
        """The chunks under lists of that height, which say how many bytes of content each is for."""
        chunks = []
        for identity, length in references:
            fields = Bytes(self.blob(identity))
            self.used.add(identity)
            form, version, level, zero, count = fields.unpack("BBBBI")
            require((form, version, level, zero) == (FORM_LIST, 1, height - 1, 0), "it is no list of its height")
            below = decode_references(fields, "Q" if level else "I")
            require(len(below) == count, "a list has another length")
            require(sum(length for _, length in below) == length, "a list is for another number of bytes")
            chunks += self.lists(level, below) if level else below
        return chunks

    def walk(self, identity, level):
        """The records below a node, in the order of their keys."""
        items = decode_node(self.blob(identity), level)
        self.used.add(identity)
        for key, item in items:
            if level == 0:
                yield key, item
            else:
                yield from self.walk(item, level - 1)

    def restore(self, name, snapshot):
        """Lists what a snapshot restores to, and returns which blobs that took."""
        self.used, last = set(), b""
        tree = snapshot["tree"]
        for key, record in self.walk(bytes.fromhex(tree["id"]), tree["level"]):
            require(key >= last, "its keys do not ascend")
            last = key
            flags = record[6][0] if 6 in record else 1
            content = self.guarded(name, lambda record=record: self.content(record))
            # Older versions and delete markers are history.
            if content is not None and flags == 1:
                kind = ENTRY_KINDS[record[1][0]]
                sized = kind == "file" and 2 in record
                require(not sized or Bytes(record[2]).varint() == len(content), "a size is wrong")
                digest = blake3(record.get(7, content)).hexdigest()
                print(snapshot["id"], kind, digest, escaped(key))
        return self.used

    def verify_snapshot(self, snapshot, sealed):
        """What the object states in the clear, and who signed it."""
        fields = struct.unpack("<H6s16sQ32s32s64s", sealed.statement)
        version, zero, writer, sequence, previous, signer, signature = fields
        require(version == 1 and not any(zero), "its statement is none")
        optional = [value.hex() if any(value) else None for value in (previous, signer)]
        said = [snapshot[field] for field in ("writer", "sequence", "previous", "signer")]
        require([writer.hex(), sequence, *optional] == said, "its statement says something else")
        if any(signer):
            signed = sealed.header + hashlib.sha256(sealed.segments).digest() + sealed.statement[:96]
            message = (DATE + "snapshot statement").encode() + b"\0" + signed
            verify_signature(signer, signature, message, "the snapshot")

    def verify_usage(self, snapshot, usage, described, used):
        """The usage list is the snapshot's, and marks every blob that restoring it takes."""
        require(usage is not None, "its usage list is missing")
        require(blake3(usage).hexdigest() == snapshot["usage"], "it names another usage list")
        packs = decode_usage(usage)
        said = (snapshot["packs"]["count"], snapshot["packs"]["digest"])
        require(said == (len(packs), blake3(b"".join(packs)).hexdigest()), "it relies on other packs than are listed")
        tables = {pack: described[pack]["table"] if pack in described else [] for pack in packs}
        unknown = [pack.hex() for pack, (blobs, _) in packs.items() if len(tables[pack]) != blobs]
        require(not unknown, f"nothing describes the packs {', '.join(unknown)}")
        marked = {tables[pack][place][0] for pack, (_, places) in packs.items() for place in places}
        require(used <= marked, "its usage list lacks chunks that it needs")

    def verify_removals(self):
        """What was removed, by writer and sequence."""
        removed = set()
        for name in self.texts("removed"):
            def verified(name=name):
                document = self.text(name, "removal", "sealed")
                fields, (signature, signed) = document.fields, (document.seal[:64], document.seal[64:])
                self.keys.verify_text(document, signature)
                named = (f"removed/{fields['id']}", fields["repository"]) == (name, self.repository.hex())
                require(named, "it belongs elsewhere")
                if fields["signer"] is not None:
                    message = (DATE + "removal").encode() + b"\0" + document.sealed
                    verify_signature(bytes.fromhex(fields["signer"]), signed, message, "the record of removal")
                return {(item["writer"], item["sequence"], item["digest"]) for item in fields["snapshots"]}
            removed |= self.guarded(name, verified) or set()
        return removed

    def verify_chains(self, snapshots):
        """Each snapshot follows one that is there, or was removed on record."""
        known = self.verify_removals()
        known |= {(body["writer"], body["sequence"], sealed.sha256.hex()) for body, sealed in snapshots.values()}
        for identity, (body, _) in snapshots.items():
            before = (body["writer"], body["sequence"] - 1, body["previous"])
            if body["sequence"] > 1 and before not in known:
                self.damages.append(f"snapshot/{identity.hex()}: the one before it is missing")

    def read(self, without_index):
        """Verifies everything and lists what is in the snapshots."""
        self.read_packs()
        described = self.read_index()
        if without_index:
            self.places = {blob: identity for identity, pack in self.packs.items() for blob in pack.blobs}
        for kind, decode in ((5, json.loads), (8, decode_note), (9, decode_connector)):
            self.documents(kind, decode)
        usages, snapshots = self.documents(4, bytes), self.documents(6, json.loads)
        self.verify_chains(snapshots)
        for identity, (snapshot, sealed) in snapshots.items():
            name, (usage, _) = f"snapshot/{identity.hex()}", usages.get(identity, (None, None))
            self.guarded(name, lambda: require(snapshot["id"] == identity.hex(), "it has another id than its object"))
            self.guarded(name, lambda: self.verify_snapshot(snapshot, sealed))
            used = self.guarded(name, lambda: self.restore(name, snapshot)) or set()
            self.guarded(name, lambda: self.verify_usage(snapshot, usage, described, used))


def escaped(key):
    return "".join(chr(byte) if 0x21 <= byte <= 0x7E and byte != 0x25 else f"%{byte:02X}" for byte in key)


def secret_of(arguments):
    """The secret that the arguments name: its kind as slots call it, and its bytes."""
    if arguments.passphrase_file:
        return "passphrase", arguments.passphrase_file.read_bytes().rstrip(b"\n")
    if arguments.key_file:
        return "key-file", arguments.key_file.read_bytes()
    if arguments.identity_file:
        text = arguments.identity_file.read_text().strip()
        kinds = {"credenza-secret-": "recipient", "credenza-hybrid-secret-": "hybrid-recipient"}
        prefix = next((prefix for prefix in kinds if text.startswith(prefix)), None)
        require(prefix is not None, "the identity file holds no secret key")
        key, check = bytes.fromhex(text.removeprefix(prefix)[:64]), bytes.fromhex(text[-8:])
        context = DATE + "recipient key check"
        require(check == blake3(prefix.encode() + key, derive_key_context=context).digest()[:4], "the key is mistyped")
        return kinds[prefix], key
    return None


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("repository", type=Path)
    for name in ("--passphrase-file", "--key-file", "--identity-file"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--without-index", action="store_true")
    arguments = parser.parse_args()
    try:
        repository = Repository(arguments.repository, secret_of(arguments))
        repository.read(arguments.without_index)
    except Damage as cause:
        sys.exit(f"{arguments.repository}: {cause}")
    for damage in repository.damages:
        print(damage, file=sys.stderr)
    sys.exit(20 if repository.damages else 0)


if __name__ == "__main__":
    main()
