"""ABI encoding, decoding and the sentences made of reverts."""

from __future__ import annotations

import pytest
from eth_abi import encode

from backend.chain.abi import Abi, explain_revert, merge_errors
from backend.chain.addressbook import AddressBook, Deployed, book_from_json
from backend.chain.errors import ChainError, FieldError
from backend.chain.keccak import checksum_address, create_address, keccak

ABI = Abi(
    [
        {
            "type": "error",
            "name": "InsufficientBalance",
            "inputs": [{"name": "account", "type": "address"}, {"name": "neededMicro", "type": "uint256"}],
        },
        {
            "type": "function",
            "name": "put",
            "inputs": [
                {
                    "name": "items",
                    "type": "tuple[]",
                    "components": [{"name": "who", "type": "address"}, {"name": "amount", "type": "uint64"}],
                }
            ],
            "outputs": [{"name": "", "type": "address"}],
        },
        {
            "type": "event",
            "name": "Moved",
            "inputs": [
                {"name": "who", "type": "address", "indexed": True},
                {"name": "amount", "type": "uint256"},
            ],
        },
    ]
)
WHO = checksum_address(b"\xab" * 20)


def test_calls_and_results() -> None:
    data = ABI.encode_call("put", [[(WHO, 5)]])
    assert data[:4] == keccak(b"put((address,uint64)[])")[:4]
    assert ABI.decode_result("put", encode(["address"], [WHO])) == WHO
    with pytest.raises(FieldError, match="do not fit"):
        ABI.encode_call("put", [[(WHO, -5)]])
    with pytest.raises(ChainError, match="no function take"):
        ABI.encode_call("take", [])


def test_events() -> None:
    log = {
        "topics": ["0x" + ABI.topic("Moved").hex(), "0x" + encode(["address"], [WHO]).hex()],
        "data": "0x" + encode(["uint256"], [77]).hex(), "address": WHO.lower(),
        "blockNumber": "0x10", "logIndex": "0x1",
    }  # fmt: skip
    event = ABI.decode_log(log)
    assert event is not None and event.name == "Moved" and event.arguments == {"who": WHO, "amount": 77}
    assert (event.block_number, event.log_index) == (16, 1)
    assert ABI.decode_log({**log, "topics": ["0x" + "00" * 32]}) is None


def test_reverts_become_sentences() -> None:
    errors = merge_errors([ABI])
    data = keccak(b"InsufficientBalance(address,uint256)")[:4] + encode(["address", "uint256"], [WHO, 9])
    sentence, name, arguments = explain_revert(data, errors)
    assert sentence == f"insufficient balance: account {WHO}, needed micro 9"
    assert name == "InsufficientBalance" and arguments == {"account": WHO, "neededMicro": 9}
    assert explain_revert(keccak(b"Error(string)")[:4] + encode(["string"], ["no"]), errors)[0] == "no"
    assert (
        explain_revert(keccak(b"Panic(uint256)")[:4] + encode(["uint256"], [0x11]), errors)[0]
        == "arithmetic overflow"
    )
    assert "unknown error 0xdeadbeef" in explain_revert(bytes.fromhex("deadbeef"), errors)[0]
    assert "without a reason" in explain_revert(b"", errors)[0]


def test_address_book_round_trip_and_refusal() -> None:
    book = AddressBook(31337, 3, {"Treasury": Deployed("Treasury", WHO, ABI)})
    again = book_from_json(book.to_json())
    assert again["Treasury"].address == WHO and again.deploy_block == 3 and again.chain_id == 31337
    assert again.errors.keys() == book.errors.keys()
    with pytest.raises(FieldError, match="bitwatt deploy"):
        book_from_json('{"chain_id": 1}')
    with pytest.raises(ChainError, match="no contract Registry"):
        _ = again["Registry"]


def test_create_address_is_ethereums() -> None:
    # first contract of Anvil's first account
    sender = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    assert create_address(sender, 0) == "0x5FbDB2315678afecb367f032d93F642f64180aa3"
