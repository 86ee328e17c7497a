"""The campaign's parts: a seed gives the same faults again; a cut link carries nothing until it is healed."""

from __future__ import annotations

import contextlib
import socket
import threading

from tests.chaos.campaign import VICTIMS, plan
from tests.chaos.proxy import Link


def test_a_seed_replays_and_a_day_holds_every_kind() -> None:
    assert plan(7, 96) == plan(7, 96) != plan(8, 96)
    assert sum(jump for jump, _ in plan(7, 96)) == 96
    kinds = {kind for _, faults in plan(7, 96) for kind, _ in faults}
    assert kinds == {"kill", "pause", "cut", "fill", "crash"}
    assert "fill" not in {kind for _, faults in plan(7, 96, small_disks=False) for kind, _ in faults}
    hurt = {victim for seed in range(20) for _, faults in plan(seed, 96) for _, victim in faults}
    assert hurt == {*VICTIMS, "chain", "database"}


def test_at_most_one_member_suffers_at_a_time() -> None:
    for seed in range(50):
        for _, faults in plan(seed, 96):
            assert sum(victim.startswith("node") for _, victim in faults) <= 1


def test_a_link_is_cut_and_healed() -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def echo() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                while data := client.recv(100):
                    client.sendall(data)

    threading.Thread(target=echo, daemon=True).start()
    link = Link(f"127.0.0.1:{server.getsockname()[1]}")

    def asked() -> bytes:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", link.port), timeout=10) as end,
        ):
            end.sendall(b"hello")
            return end.recv(100)
        return b""

    try:
        assert asked() == b"hello"
        with socket.create_connection(("127.0.0.1", link.port), timeout=10) as running:
            running.sendall(b"x")
            assert running.recv(1) == b"x"
            link.cut()
            with contextlib.suppress(OSError):
                assert running.recv(1) == b"", "a running connection is dropped"
        assert asked() == b""
        link.heal()
        assert asked() == b"hello"
    finally:
        link.close()
        server.close()
