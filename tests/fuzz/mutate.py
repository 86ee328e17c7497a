"""Small damages that attackers and broken disks do to a document."""

from __future__ import annotations

import random

_NUMBERS = (b"0", b"-1", b"18446744073709551616", b"1e999", b"NaN", b"null", b'"', b"{", b"\xff", b"\x00")


def mutated(data: bytes, chance: random.Random) -> bytes:
    """`data` with one to four damages: bits flipped, parts cut, doubled or moved, odd tokens put in."""
    content = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(content) + 1)
        size = chance.randint(1, 16)
        match chance.randrange(6):
            case 0 if content:
                content[min(at, len(content) - 1)] ^= 1 << chance.randrange(8)
            case 1:
                del content[at : at + size]
            case 2:
                content[at:at] = content[at : at + size]
            case 3:
                content[at : at + size] = chance.randbytes(size)
            case 4:
                content[at:at] = chance.choice(_NUMBERS)
            case _:
                del content[at:]
    return bytes(content)
