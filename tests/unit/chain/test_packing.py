"""Byte layouts: exact bytes, round trips, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from backend.chain import packing
from backend.chain.errors import FieldError
from backend.chain.keccak import keccak


def table(classes: int = 2, zones: int = 3, slots: int = 5) -> packing.PriceTable:
    rng = np.random.default_rng(7)
    return packing.PriceTable(
        rng.integers(0, 2**32, (classes, zones, 2, slots)),
        rng.integers(-(2**31), 2**31, (zones, 2, slots)),
        rng.integers(0, 2**16, (zones, slots)),
        rng.integers(0, 2**16, (zones, slots)),
    )


def test_price_table_round_trip_and_order_of_sections() -> None:
    prices = table()
    data = packing.pack_prices(prices)
    assert len(data) == 2 * 3 * 2 * 5 * 4 + 3 * 2 * 5 * 4 + 2 * (3 * 5 * 2)
    assert data[:4] == int(prices.compute_price[0, 0, 0, 0]).to_bytes(4, "big")
    assert data[240:244] == int(prices.energy_price[0, 0, 0]).to_bytes(4, "big", signed=True)
    assert data[360:390] == packing.pack_carbon(prices.grid_carbon)
    back = packing.unpack_prices(data, 2, 3, 5)
    for name in ("compute_price", "energy_price", "grid_carbon", "green_factor"):
        assert (getattr(back, name) == getattr(prices, name)).all()
    parts = packing.split_parts(data, 100)
    assert b"".join(parts) == data and max(map(len, parts)) == 100


def test_price_table_refuses_what_does_not_fit() -> None:
    prices = table()
    prices.compute_price[1, 2, 1, 4] = 2**32
    with pytest.raises(FieldError, match="compute price = 4294967296"):
        packing.pack_prices(prices)
    with pytest.raises(FieldError, match="price table = 3"):
        packing.unpack_prices(b"abc", 1, 1, 1)
    with pytest.raises(FieldError, match="green factor"):
        packing.pack_prices(
            packing.PriceTable(
                *[getattr(table(), n) for n in ("compute_price", "energy_price", "grid_carbon")],
                np.zeros((1, 1), int),
            )
        )


def test_run_is_thirteen_bytes() -> None:
    assert packing.pack_runs([(1, 2, 1, 3, 9, 70_000)]).hex() == "00010002010003000900011170"
    with pytest.raises(FieldError, match=r"run\.mode = 256"):
        packing.pack_runs([(0, 0, 256, 0, 1, 1)])
    with pytest.raises(FieldError, match="multiple of 13"):
        packing.unpack_runs(b"\0" * 14)


@given(
    st.lists(
        st.tuples(
            *[st.integers(0, 65535)] * 2,
            st.integers(0, 1),
            *[st.integers(0, 65535)] * 2,
            st.integers(0, 2**32 - 1),
        ),
        max_size=20,
    )
)
def test_runs_round_trip(runs: list[tuple[int, int, int, int, int, int]]) -> None:
    assert packing.unpack_runs(packing.pack_runs(runs)) == runs


def test_profile_and_sold_layout() -> None:
    wh, ask = np.array([[5, 6], [7, 8]]), np.array([[-1, 2], [3, -4]])
    data = packing.pack_profile(wh, ask)
    assert data.hex() == "00000005ffffffff0000000600000002000000070000000300000008fffffffc"
    back = packing.unpack_profile(data, 2)
    assert (back[0] == wh).all() and (back[1] == ask).all()
    assert (packing.unpack_sold(packing.pack_sold(np.array([1, 2**32 - 1]))) == [1, 2**32 - 1]).all()
    with pytest.raises(FieldError, match="sold Wh = -1"):
        packing.pack_sold(np.array([-1]))


def test_publication_hash_is_the_abi_encoding() -> None:
    carbon = b"\1\2\3\4"
    encoded = encode(["uint64", "uint32", "uint16", "uint32", "bytes32"], [10, 900, 96, 3, keccak(carbon)])
    assert packing.publication_hash(10, 900, 96, 3, carbon) == keccak(encoded)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_agreement_round_trip(batch: int, chunk: int, run: int) -> None:
    assert packing.split_agreement_id(packing.agreement_id(batch, chunk, run)) == (batch, chunk, run)
