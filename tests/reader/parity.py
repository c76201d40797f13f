"""Parity of packs, as FORMAT.md says: which segments are hurt, and what they were.

Owned here: the object beside a pack and the code over GF(2^16). Refused here: whether what comes out is right, which
the pack's own seals tell (keys.py). Written from host/format/FORMAT.md alone.
"""

import struct

from blake3 import blake3

from keys import CHECKSUM, HEADER, SEGMENT, TAG, Damage, require

BASIS = (0x0001, 0xACCA, 0x3C0E, 0x163E, 0xC582, 0xED2E, 0x914C, 0x4012,
         0x6C98, 0x10D8, 0x6A72, 0xB900, 0xFDB8, 0xFB34, 0xFF38, 0x991E)
ORDER = 65_535
LOG, EXP = [0] * (ORDER + 1), [0] * ORDER


def fill_tables():
    """Logarithms of numbers, which stand for sums of the basis."""
    numbers = [0] * (ORDER + 1)
    for number in range(1, ORDER + 1):
        low = number & -number
        numbers[number] = numbers[number ^ low] ^ BASIS[low.bit_length() - 1]
    number_of = {element: number for number, element in enumerate(numbers)}
    element = 1
    for power in range(ORDER):
        EXP[power] = number_of[element]
        LOG[EXP[power]] = power
        element <<= 1
        element ^= 0x1002D if element >> 16 else 0


def multiply(a, b):
    return EXP[(LOG[a] + LOG[b]) % ORDER] if a and b else 0


def divide(a, b):
    return EXP[(LOG[a] - LOG[b]) % ORDER] if a else 0


def short(content):
    return blake3(content).digest()[:16]


class Parity:
    """What a parity object holds of its shards, by whichever of its heads is whole."""

    def __init__(self, content):
        first = self.decode(content)
        last = next((at for at in range(len(content) - 8, -1, -1) if content[at : at + 8] == b"CRPARITY"), 0)
        second = self.decode(content[last:])
        head = first or second
        require(head is not None, "neither of its heads is whole")
        self.repository, self.pack, self.size, self.header, self.checksum, self.hashes, self.shard_hashes = head
        sealed = self.size - HEADER - CHECKSUM
        self.shard_bytes = -(-min(sealed, SEGMENT + TAG) // 64) * 64
        start = 256 + 16 * (len(self.hashes) + len(self.shard_hashes))
        places = range(start, start + len(self.shard_hashes) * self.shard_bytes, self.shard_bytes)
        shards = [content[at : at + self.shard_bytes] for at in places]
        self.shards = {j: shard for j, shard in enumerate(shards) if short(shard) == self.shard_hashes[j]}
        whole = first == second and len(self.shards) == len(shards)
        self.is_whole = whole and len(content) == 2 * start + len(shards) * self.shard_bytes

    @staticmethod
    def decode(content):
        """A head; nothing when it is hurt."""
        if len(content) < 256 or content[:12] != b"CRPARITY\x01\0\0\0":
            return None
        shards, repository, pack, size, zero = struct.unpack_from("<I16s16sQ8s", content, 12)
        segments = -(-(size - HEADER - CHECKSUM) // (SEGMENT + TAG))
        end = 224 + 16 * (segments + shards)
        if any(zero) or content[end : end + 32] != blake3(content[:end]).digest():
            return None
        hashes = [content[at : at + 16] for at in range(224, end, 16)]
        header, checksum = content[64:192], content[192:224]
        return repository, pack, size, header, checksum, hashes[:segments], hashes[segments:]

    def heal(self, content):
        """The pack as it was, and which segments were hurt."""
        sealed = content[HEADER : self.size - CHECKSUM]
        segments = [sealed[at * (SEGMENT + TAG) : (at + 1) * (SEGMENT + TAG)] for at in range(len(self.hashes))]
        hurt = [at for at, segment in enumerate(segments) if short(segment) != self.hashes[at]]
        if len(hurt) > len(self.shards):
            raise Damage(f"segments {hurt} are hurt and {len(self.shards)} shards of parity are whole")
        if hurt and not EXP[0]:
            fill_tables()
        first = 1 << (len(self.shard_hashes) - 1).bit_length()
        known = {first + at: segment.ljust(self.shard_bytes, b"\0") for at, segment in enumerate(segments) if at not in hurt}
        known.update(self.shards)
        unknown = [at for at in range(first) if at not in self.shards] + [first + at for at in hurt]
        for at in hurt:
            length = min(SEGMENT + TAG, self.size - HEADER - CHECKSUM - at * (SEGMENT + TAG))
            segments[at] = solve(first + at, unknown, known)[:length]
        return self.header + b"".join(segments) + self.checksum, hurt


def solve(wanted, unknown, known):
    """The symbols of one position. The sum over all of symbol times a polynomial of the position is zero, below degree m; that
    of Lagrange, which is one at the position wanted and zero at all others that are unknown, leaves what is known."""
    others = [at for at in unknown if at != wanted]
    low = high = 0
    for position, content in known.items():
        factor = 1
        for other in others:
            factor = multiply(factor, divide(position ^ other, wanted ^ other))
        products = [[multiply(factor, byte << shift) for byte in range(256)] for shift in (0, 8)]
        halves = [b"".join(content[at + half : at + half + 32] for at in range(0, len(content), 64)) for half in (0, 32)]
        for half, table in zip(halves, products):
            low ^= int.from_bytes(half.translate(bytes(value & 255 for value in table)))
            high ^= int.from_bytes(half.translate(bytes(value >> 8 for value in table)))
    half = len(next(iter(known.values()))) // 2
    low, high = low.to_bytes(half), high.to_bytes(half)
    return b"".join(low[at : at + 32] + high[at : at + 32] for at in range(0, half, 32))
