"""A leader that dies between locks and signatures: its report, not a newer one, must come through."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from oracle.client import CommitteeClient
from oracle.node import duty
from oracle.node.config import load_config
from oracle.node.consensus import ATTEMPTS, VOTE
from oracle.node.node import Node
from oracle.node.peers import Answer, Certified, Proposal, decode_answer
from oracle.wire.keys import sha256
from oracle.wire.reading import Reading, encode_envelopes, seal
from tests.integration.oracle_world import ENERGY_WH, PLANT_METER, SLOT, START, World

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, slots=2, orders=2)
    made.register()
    for number in range(4):
        made.start_node(number)
    made.await_nodes()
    client = CommitteeClient(made.book_path, made.url, made.nodes)
    made.clear(client)
    made.write_fleet()
    made.attest(client)
    for number in range(4):
        made.kill(f"node {number}")
    yield made
    made.close()


async def votes(nodes: list[Node], step: str, body: bytes) -> list[bytes]:
    answers: list[Answer] = []
    handlers = {"propose": duty.answer_proposal, "lock": duty.answer_lock, "sign": duty.answer_sign}
    for node in nodes:
        answers.append(decode_answer((await handlers[step](node, body)).encode()))
    return [answer.payload for answer in answers if answer.word == "vote"]


def plant_reading(world: World) -> bytes:
    from oracle.agents.fleet import device_key, load_fleet

    fleet = load_fleet(world.folder / "fleet.json")
    key = device_key(fleet, fleet.devices[0])
    quantity = 2 * ENERGY_WH * 1000
    item = Reading(31337, PLANT_METER, 1, bytes(32), 0, START, START + SLOT, quantity, quantity)
    return encode_envelopes([seal(key, item)])


async def scenario(world: World) -> None:
    configs = [load_config(world.folder / f"node{number}.json") for number in range(4)]
    nodes = [Node(replace(config, nodes=())) for config in configs]
    nodes.sort(key=lambda node: node.address)
    world.clock.advance_to(START + SLOT + 600)  # past the grace: an epoch without any reading may be reported
    for node in nodes:
        await node.refresh()
    committee = nodes[0].committee
    leader, others = nodes[0], nodes[1:]
    assert leader.address == committee.leader(0, 0)
    draft = leader.draft(0)
    proposal = Proposal(0, 0, draft.bundle, leader.voter.proposal(0, 0, sha256(draft.bundle)))
    first = await votes(nodes, "propose", proposal.encode())
    assert len(first) == 4
    certificate = b"".join(sorted(first, key=lambda vote: vote)[:3])
    assert committee.certifies(VOTE, 0, 0, draft.digest, certificate)
    locked = await votes(others[:1], "lock", Certified(0, 0, draft.digest, certificate).encode())
    assert len(locked) == 1
    # the leader dies; a late reading reaches the others before the next turn
    body = plant_reading(world)
    for node in others:
        assert (await node.ingest(body)).accepted == 1
    newer = others[0].draft(0)
    assert newer.digest != draft.digest
    number = ATTEMPTS
    fresh = Proposal(0, number, newer.bundle, others[0].voter.proposal(0, number, sha256(newer.bundle)))
    assert committee.leader(0, number) == others[0].address
    # the member that is locked refuses the newer report; with the lock as justification all take the old one
    assert len(await votes(others, "propose", fresh.encode())) == 2
    lock = others[0].voter.lock(0)
    number += 1
    again = Proposal(0, number, draft.bundle, others[0].voter.proposal(0, number, sha256(draft.bundle)), lock)
    second = await votes(others, "propose", again.encode())
    assert len(second) == 3
    bare = replace(again, round_number=number + 1, justification=None)
    bare = replace(bare, signature=others[0].voter.proposal(0, number + 1, sha256(draft.bundle)))
    refused = [await duty.answer_proposal(node, bare.encode()) for node in others]
    assert {answer.word for answer in refused} == {"missing"}
    for node in nodes:
        await node.close()


def test_a_locked_report_comes_through_though_readings_came_since(world: World) -> None:
    asyncio.run(scenario(world))
