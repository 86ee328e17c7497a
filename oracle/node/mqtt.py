"""Ingest by MQTT: batches of readings on the node's own topic, receipts on the topic the sender names.

`bitwatt/readings/<address of the member>` takes CBOR [reply topic, batch number, body of POST /readings]; the
reply is JSON {"batch", "accepted", "duplicates", "refused"}. Any broker of MQTT 3.1.1 or later does.
"""

from __future__ import annotations

import asyncio
import json
import logging
from urllib.parse import urlsplit

import aiomqtt

from oracle.node.ledger import Receipt
from oracle.node.node import Node
from oracle.node.store import StoreFull
from oracle.wire import cbor
from oracle.wire.errors import WireError
from oracle.wire.reading import MAX_MESSAGE_BYTES

log = logging.getLogger("bitwatt.oracle")
_RETRY_SECONDS = 0.5
_ENVELOPE_BYTES = 1024


def receipt_json(receipt: Receipt) -> dict[str, object]:
    """What a sender is told about its readings."""
    return {
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "refused": [
            {"index": index, "field": problem.field, "problem": problem.text, "retry": problem.retry}
            for index, problem in receipt.refused
        ],
    }


async def mqtt_loop(node: Node, url: str) -> None:
    """Takes in what comes by the broker, and connects again when it is lost, until cancelled."""
    address = urlsplit(url)
    tls = aiomqtt.TLSParameters() if address.scheme == "mqtts" else None
    port = address.port or (8883 if tls else 1883)
    topic = f"bitwatt/readings/{node.address}"
    while True:
        try:
            async with aiomqtt.Client(
                address.hostname or "localhost",
                port,
                identifier=f"bitwatt-node-{node.address}",
                clean_session=False,  # the broker keeps what comes while the node is away
                tls_params=tls,
                username=address.username,
                password=address.password,
            ) as client:
                await client.subscribe(topic, qos=1)
                node.counters["broker connected"] += 1
                async for message in client.messages:
                    await _answer(node, client, message.payload)
        except aiomqtt.MqttError as error:
            node.counters["broker lost"] += 1
            log.warning("the broker does not answer: %s", error)
        await asyncio.sleep(_RETRY_SECONDS)


async def _answer(node: Node, client: aiomqtt.Client, payload: object) -> None:
    """One message; a bad one is counted and passed over, for the broker must not send it again and again."""
    try:
        reply, batch, body = _open(payload)
        told = {"batch": batch, **receipt_json(await node.ingest(body))}
    except WireError as error:
        node.counters["broker messages refused"] += 1
        log.warning("a message by the broker was refused: %s", error)
        return
    except StoreFull as error:
        node.counters["store full"] += 1
        log.error("%s", error)
        return  # no receipt: the sender keeps its readings
    await client.publish(reply, json.dumps(told), qos=1)


def _open(payload: object) -> tuple[str, int, bytes]:
    if not isinstance(payload, bytes) or len(payload) > MAX_MESSAGE_BYTES + _ENVELOPE_BYTES:
        raise WireError("message", "is no CBOR of at most 8 MiB")
    match cbor.decode(payload):
        case [str(reply), int(batch), bytes(body)] if reply.startswith("bitwatt/receipts/"):
            return reply, batch, body
    raise WireError("message", "has not the shape of [reply topic, batch, body]")
