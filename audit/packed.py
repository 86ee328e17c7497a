"""Packed events and calldata of the market and the Treasury, spelled out as one event or order each."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from audit.abi import AbiMismatch, Call, Event
from audit.eip712 import STRUCTS, keccak, struct_hash

ORDER_FIELDS = tuple(part.split(" ")[1] for part in STRUCTS["order"].partition("(")[2][:-1].split(","))[1:]
_HEAD = struct.Struct(">20sBIH")
_TERMS = struct.Struct(">IQIIHQQQHIIBIQQ")
_LIST_TYPE = keccak(b"BundleOrders(BundleOrder[] orders)" + STRUCTS["order"].encode())


def spell_out(event: Event) -> Iterator[Event]:
    """The event; of a packed one, the events it stands for.

    ChunkCleared gives an OrderCleared per order before itself, Locked and Settled a Posted per account, and
    Settled an Earned(account, key, mg) per credit. Raises AbiMismatch where the bytes do not fit.
    """
    try:
        if (event.contract, event.name) == ("BundleMarket", "ChunkCleared"):
            yield from _chunk(event)
        elif (event.contract, event.name) == ("Treasury", "Locked"):
            for account, cost in struct.iter_unpack(">20sQ", event.args["entries"]):
                yield _posted(event, account, -cost, cost)
        elif (event.contract, event.name) == ("Treasury", "Settled"):
            for account, available, locked, credit in struct.iter_unpack(">20sqqQ", event.args["entries"]):
                yield _posted(event, account, available, locked)
                if credit & (1 << 40) - 1:
                    args = {"account": _hex(account), "key": credit >> 40, "mg": credit & (1 << 40) - 1}
                    yield replace(event, name="Earned", args=args)
        else:
            yield event
    except struct.error as error:
        raise AbiMismatch(f"{event.contract}.{event.name} in {event.tx}: {error}") from error


def _hex(account: bytes) -> str:
    return "0x" + account.hex()


def _posted(event: Event, account: bytes, available: int, locked: int) -> Event:
    args = {"account": _hex(account), "available": available, "locked": locked}
    return replace(event, name="Posted", args=args)


def _chunk(event: Event) -> Iterator[Event]:
    args = event.args
    makers = tuple(_hex(maker) for (maker,) in struct.iter_unpack(">20s", args["makers"]))
    hashes = tuple(hashed for (hashed,) in struct.iter_unpack(">32s", args["orderHashes"]))
    fills = tuple(struct.iter_unpack(">IQ", args["fills"]))
    if not len(makers) == len(hashes) == len(fills):
        raise AbiMismatch(f"ChunkCleared in {event.tx}: {len(makers)}, {len(hashes)}, {len(fills)} records")
    for maker, hashed, (lanes, cost) in zip(makers, hashes, fills, strict=True):
        told = {"batchId": args["batchId"], "orderHash": hashed, "maker": maker}
        yield replace(event, name="OrderCleared", args={**told, "lanesFilled": lanes, "costMicro": cost})
    yield replace(event, args={**args, "makers": makers, "orderHashes": hashes})


def spell_out_call(call: Call) -> Call:
    """The call; of clearChunk with its orders as dicts of terms, a signature and the hash signed by each.

    `signed` is the struct hash of the list an order was signed in, empty where it was signed alone.
    """
    if (call.contract, call.name) != ("BundleMarket", "clearChunk"):
        return call
    orders: list[dict[str, Any]] = []
    signatures: list[bytes] = []
    signed: list[bytes] = []
    try:
        for terms, signature, hashed in _groups(call.args["orders"]):
            orders += terms
            signatures += [signature] * len(terms)
            signed += [hashed] * len(terms)
    except struct.error as error:
        raise AbiMismatch(f"BundleMarket.clearChunk in {call.tx}: {error}") from error
    args = {**call.args, "orders": tuple(orders), "sigs": tuple(signatures), "signed": tuple(signed)}
    return replace(call, args=args)


def _groups(data: bytes) -> Iterator[tuple[list[dict[str, Any]], bytes, bytes]]:
    at = 0
    while at < len(data):
        maker, total, present, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        signature, at = data[at : at + size], at + size
        orders: list[dict[str, Any]] = []
        hashes: list[bytes] = []
        for number in range(total):
            if not present >> number & 1:
                hashes.append(data[at : at + 32])
                at += 32
                continue
            values = _TERMS.unpack_from(data, at)
            orders.append({"maker": _hex(maker), **dict(zip(ORDER_FIELDS, values, strict=True))})
            hashes.append(struct_hash(STRUCTS["order"], orders[-1]))
            at += _TERMS.size
        yield (
            orders,
            _expanded(signature),
            keccak(_LIST_TYPE + keccak(b"".join(hashes))) if total > 1 else b"",
        )


def _expanded(signature: bytes) -> bytes:
    """r || s || v of a compact signature (EIP-2098); anything else as it is."""
    if len(signature) != 64:
        return signature
    word = int.from_bytes(signature[32:], "big")
    return signature[:32] + (word & (1 << 255) - 1).to_bytes(32, "big") + bytes((27 + (word >> 255),))
