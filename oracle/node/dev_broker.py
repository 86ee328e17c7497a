"""An MQTT broker inside a node's process, for development chains: production has a broker of its own."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from amqtt.broker import Broker

from oracle.evidence.verify import DEV_CHAIN_ID
from oracle.node.config import ConfigError


async def start_dev_broker(url: str, chain_id: int) -> Broker:
    """A broker that lets everybody in, at the host and port of `url`; refused off a development chain."""
    if chain_id != DEV_CHAIN_ID:
        raise ConfigError(f"dev_broker is refused on chain {chain_id}: for development only")
    address = urlsplit(url)
    logging.getLogger("amqtt").setLevel(logging.ERROR)
    logging.getLogger("transitions").setLevel(logging.ERROR)
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{address.hostname}:{address.port or 1883}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    return broker
