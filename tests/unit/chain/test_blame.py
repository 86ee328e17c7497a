"""A refused chunk is sent again without the order that the market names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.chain.addressbook import AddressBook, Deployed
from backend.chain.blame import OpenChunk, blamed, freed_lanes, send_without_refused, without
from backend.chain.clients import Market
from backend.chain.deploy import artifact
from backend.chain.eip712 import Domain, order_digest
from backend.chain.errors import Reverted
from backend.chain.orders import BundleOrder
from backend.chain.packing import pack_runs, unpack_runs
from backend.chain.plan import Call

DOMAIN = Domain(31337, "0x" + "11" * 20)
MAKERS = ["0x" + f"{n:02x}" * 20 for n in (1, 2, 2, 3)]
ORDER = BundleOrder(MAKERS[0], 0, 1, 3, 3, 2, 0, 1800, 10, 0, 0, 0, 0, 0, 0, 2**40)
CHUNK = OpenChunk(
    tuple(replace(ORDER, maker=maker, nonce=n) for n, maker in enumerate(MAKERS)),
    tuple(bytes([n]) * 64 for n in range(4)),
    pack_runs(
        [(0, 5, 1, 0, 2, 3), (1, 5, 1, 0, 2, 3), (2, 6, 0, 1, 3, 3), (2, 6, 0, 2, 4, 1), (3, 5, 1, 0, 2, 3)]
    ),
)
MARKET = Market(
    AddressBook(31337, 0, {"BundleMarket": Deployed("BundleMarket", MAKERS[0], artifact("BundleMarket").abi)})
)


def refusal(**arguments: object) -> Reverted:
    return Reverted("clearChunk", "why", "Why", arguments)


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"orderIdx": 2, "lanesFilled": 1}, 2),
        ({"runIdx": 3, "slot": 2}, 2),
        ({"hash": "0x" + order_digest(CHUNK.orders[1], DOMAIN).hex()}, 1),
        ({"maker": MAKERS[3], "hash": "0x" + "00" * 32}, 3),
        ({"account": MAKERS[1].upper().replace("0X", "0x")}, 2),
        ({"nonce": 1, "firstOpen": 4}, 1),
        ({"offerIdx": 5, "slot": 1}, None),
        ({"orderIdx": 9}, None),
    ],
)
def test_the_order_that_a_refusal_names(arguments: dict[str, object], place: int | None) -> None:
    assert blamed(refusal(**arguments), CHUNK, DOMAIN) == place


def test_a_chunk_without_an_order_keeps_the_others_runs() -> None:
    rest = without(CHUNK, 1)
    assert rest.orders == (*CHUNK.orders[:1], *CHUNK.orders[2:])
    assert [run[0] for run in unpack_runs(rest.runs)] == [0, 1, 1, 2]
    assert [run[1:] for run in unpack_runs(rest.runs)] == [
        run[1:] for run in unpack_runs(CHUNK.runs) if run[0] != 1
    ]
    assert freed_lanes(CHUNK, 2) == {(6, 0, 1): 3, (6, 0, 2): 4, (6, 0, 3): 1}


def test_bad_orders_are_left_out_one_by_one_and_the_rest_is_sent() -> None:
    sent: list[Call] = []

    def send(call: Call) -> None:
        sent.append(call)
        if len(sent) == 1:
            raise refusal(orderIdx=3)
        if len(sent) == 2:
            raise refusal(maker=MAKERS[0])

    taken, left_out = send_without_refused(MARKET, 1, 0, CHUNK, DOMAIN, send)
    assert taken is not None
    assert taken.orders == CHUNK.orders[1:3]
    assert [one.order for one in left_out] == [CHUNK.orders[3], CHUNK.orders[0]]
    assert left_out[0].reason == "why"
    assert len({call.data for call in sent}) == 3


def test_a_refusal_of_no_order_is_the_callers_and_nothing_left_is_nothing_sent() -> None:
    def full(_: Call) -> None:
        raise refusal(offerIdx=5)

    with pytest.raises(Reverted):
        send_without_refused(MARKET, 1, 0, CHUNK, DOMAIN, full)

    def none(_: Call) -> None:
        raise refusal(orderIdx=0)

    taken, left_out = send_without_refused(MARKET, 1, 0, CHUNK, DOMAIN, none)
    assert taken is None
    assert [one.order for one in left_out] == list(CHUNK.orders)
