"""From a secret to the keys of objects, as CRYPTO.md says.

Owned here: text documents, key slots, keyrings, derivations, sealed objects. Refused here: what is inside of objects
(reader.py). Written from host/format/CRYPTO.md and FORMAT.md alone.
"""

import hashlib
import hmac
import json
import struct

from argon2.low_level import Type, hash_secret_raw
from blake3 import blake3
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

DATE = "credenza v1 2026-11-24 "
SUITES = {"plain": 0, "aes-256-gcm": 1, "chacha20-poly1305": 2}
KINDS = {1: "data pack", 2: "metadata pack", 3: "index", 4: "usage", 5: "intent", 6: "snapshot", 7: "condemned",
         8: "note", 9: "connector"}
FOLDERS = {1: "data", 2: "meta", 3: "index", 4: "usage", 5: "intent", 6: "snapshot", 7: "condemned",
           8: "note", 9: "connector"}
HEADER, CHECKSUM, TAG, SEGMENT, STATEMENT = 128, 32, 16, 65_536, 160


class Damage(Exception):
    """Something is not what it must be."""


def require(holds, what):
    if not holds:
        raise Damage(what)


def derive(context, *parts):
    return blake3(b"".join(parts), derive_key_context=DATE + context).digest()


def keyed(key, message):
    return blake3(message, key=key).digest()


def public_bytes(key):
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def verify_signature(public, signature, message, what):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        raise Damage(f"the signature of {what} is wrong") from None


class Text:
    """One of the text documents: four lines, whose checksum needs no key."""

    def __init__(self, content, title, word):
        lines = content.split(b"\n")
        require(len(lines) == 5 and lines[4] == b"", "a text document has four lines")
        require(lines[0] == f"credenza {title} 1".encode(), f"it is no {title} of version 1")
        self.sealed = lines[0] + b"\n" + lines[1] + b"\n"
        checksum = blake3(self.sealed + lines[2] + b"\n").hexdigest()
        require(lines[3] == f"blake3 {checksum}".encode(), "its checksum is wrong")
        seal_word, _, seal = lines[2].decode().partition(" ")
        require(seal_word == word, f"its seal is no {word}")
        self.fields, self.seal = json.loads(lines[1]), bytes.fromhex(seal)


class Keyring:
    """The secrets that a slot wraps."""

    def __init__(self, suite, secret, content, epochs):
        self.suite, self.secret, self.content, self.epochs = suite, secret, content, epochs

    @classmethod
    def public(cls):
        return cls(0, bytes(32), bytes(32), {0: bytes(32)})

    @classmethod
    def decode(cls, wrapped):
        version, suite, count = struct.unpack_from("<BBI", wrapped)
        require(version == 1, "a writer's keyring adds and does not read" if version == 2 else "an unknown keyring")
        require(len(wrapped) == 70 + 36 * count, "the keyring has another length")
        epochs = dict(struct.unpack_from("<I32s", wrapped, 70 + 36 * number) for number in range(count))
        require(list(epochs) == sorted(epochs) and len(epochs) == count, "its epochs do not ascend")
        return cls(suite, wrapped[6:38], wrapped[38:70], epochs)


def hybrid_halves(seed):
    """Both secret halves of a hybrid recipient."""
    identity = X25519PrivateKey.from_private_bytes(derive("hybrid recipient: X25519", seed))
    expanded = blake3(seed, derive_key_context=DATE + "hybrid recipient: ML-KEM-768").digest(length=64)
    return identity, MLKEM768PrivateKey.from_seed_bytes(expanded)


def wrapping_key(lock, repository, secret):
    """The key that a secret gives for a slot, or None for a slot of another kind."""
    kind, value = secret
    if lock["kind"] != kind:
        return None
    if kind == "recipient":
        identity = X25519PrivateKey.from_private_bytes(value)
        ephemeral, recipient = bytes.fromhex(lock["ephemeral"]), bytes.fromhex(lock["recipient"])
        if public_bytes(identity) != recipient:
            return None
        shared = identity.exchange(X25519PublicKey.from_public_bytes(ephemeral))
        return derive("slot key: recipient", repository, shared, recipient, ephemeral)
    if kind == "hybrid-recipient":
        identity, kem = hybrid_halves(value)
        recipient, ephemeral, ciphertext = (bytes.fromhex(lock[part]) for part in ("recipient", "ephemeral", "ciphertext"))
        if public_bytes(identity) + kem.public_key().public_bytes_raw() != recipient:
            return None
        shared = identity.exchange(X25519PublicKey.from_public_bytes(ephemeral)) + kem.decapsulate(ciphertext)
        return derive("slot key: hybrid recipient", repository, shared, recipient, ephemeral, ciphertext)
    salt = bytes.fromhex(lock["salt"])
    if kind == "passphrase":
        cost = lock["argon2id"]
        stretched = hash_secret_raw(value, salt, cost["passes"], cost["memory_kib"], cost["lanes"], 32, Type.ID)
        return derive("slot key: passphrase", repository, stretched)
    names = {"key-file": "key file", "recovery": "recovery code"}
    return derive(f"slot key: {names[kind]}", repository, salt, value)


def unwrap(slot, repository, secret):
    """The keyring in a slot, or None when the secret is not this slot's."""
    key, sealed = wrapping_key(slot.fields["lock"], repository, secret), slot.seal[64:]
    if key is None or not hmac.compare_digest(sealed[:32], derive("slot key commitment", key)):
        return None
    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), sealed[32:], slot.sealed)
    except InvalidTag:
        raise Damage("the slot opens, and its keyring is damaged") from None


class Keys:
    """The keys of one repository."""

    def __init__(self, repository, keyring):
        self.repository, self.keyring = repository, keyring
        self.data_id = derive("chunk id: data", keyring.content)
        self.meta_id = derive("chunk id: metadata", keyring.content)
        seed = derive("text signing key", repository, keyring.secret)
        self.text_public = public_bytes(Ed25519PrivateKey.from_private_bytes(seed))

    def verify_text(self, document, signature):
        message = (DATE + "text document").encode() + b"\0" + document.sealed
        verify_signature(self.text_public, signature, message, "a text document")

    def verify_slot(self, slot):
        message = (DATE + "text document").encode() + b"\0" + slot.sealed + slot.seal[64:]
        verify_signature(self.text_public, slot.seal[:64], message, "a key slot")

    def _epoch(self, context, epoch):
        require(epoch in self.keyring.epochs, f"the keyring has no epoch {epoch}")
        secrets = self.keyring.secret + struct.pack("<I", epoch) + self.keyring.epochs[epoch]
        return derive(context, self.repository, secrets)

    def object_key(self, header, kind, keying, epoch, salt):
        if keying == 0:
            return derive("object key", self._epoch(f"kind key: {KINDS[kind]}", epoch), header[:88])
        require(keying == 1 and kind in (1, 2, 4, 6, 8, 9), "an unknown keying")
        exchange = X25519PrivateKey.from_private_bytes(self._epoch("repository exchange key", epoch))
        shared = exchange.exchange(X25519PublicKey.from_public_bytes(salt))
        return derive("object key: sealed to the repository", shared, public_bytes(exchange), header[:88])


class Sealed:
    """A sealed object, opened: every byte of it was verified."""

    def __init__(self, keys, kind, identity, content):
        require(len(content) > HEADER + CHECKSUM, "it is shorter than any object")
        self.header, body = content[:HEADER], content[:-CHECKSUM]
        require(blake3(body).digest() == content[-CHECKSUM:], "its checksum is wrong")
        self.sha256, self.size = hashlib.sha256(content).digest(), len(content)
        magic, version, suite, found, power, keying, zero = struct.unpack_from("<8sHBBBBH", self.header)
        rest = struct.unpack_from("<16s16sII32s32sQ", self.header, 16)
        repository, named, epoch, length, salt, commitment, end = rest
        require((magic, version, power, zero, end) == (b"CREDENZA", 1, 16, 0, 0), "its header is none")
        require(repository == keys.repository, "it belongs to another repository")
        require((found, named) == (kind, identity), "it belongs under another name")
        require(length == (STATEMENT if kind == 6 else 0), "its statement has another length")
        require(suite == keys.keyring.suite, "it is sealed by another suite")
        key = keys.object_key(self.header, kind, keying, epoch, salt)
        require(hmac.compare_digest(commitment, derive("object key commitment", key)), "its key is another")
        self.segments = body[HEADER : len(body) - length]
        self.statement = body[len(body) - length :]
        self.plain = open_segments(suite, key, self.header, self.segments)


def open_segments(suite, key, header, segments):
    context, opened = blake3(header).digest(), []
    count = -(-len(segments) // (SEGMENT + TAG))
    for index in range(count):
        segment = segments[index * (SEGMENT + TAG) : (index + 1) * (SEGMENT + TAG)]
        require(len(segment) > TAG, "its last segment is empty")
        place = struct.pack("<IB", index, index == count - 1)
        try:
            opened.append(open_segment(suite, key, place + bytes(7), context + place, segment))
        except InvalidTag:
            raise Damage(f"segment {index} fails authentication") from None
    return b"".join(opened)


def open_segment(suite, key, nonce, associated, segment):
    if suite == 0:
        plain, tag = segment[:-TAG], segment[-TAG:]
        if not hmac.compare_digest(keyed(key, associated + plain)[:TAG], tag):
            raise InvalidTag
        return plain
    cipher = AESGCM(key) if suite == 1 else ChaCha20Poly1305(key)
    return cipher.decrypt(nonce, segment, associated)
