"""The document by which a workload agent registers its machine: what it is, and its measured VCU (F1)."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from oracle.wire import cbor
from oracle.wire.errors import WireError
from oracle.wire.keys import DeviceKey
from oracle.wire.reading import Envelope

DOMAIN = "bitwatt/machine/1"
MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class Machine:
    """`measured_mflops` over `reference_mflops` is the VCU, rounded down to milli-VCU; `measured_at` in unix
    seconds; `devices` as the machine names them."""

    chain_id: int
    meter_id: int
    compute_class: str
    zone: str
    devices: tuple[str, ...]
    measured_mflops: int
    reference_mflops: int
    reference_version: int
    measured_at: int

    @property
    def milli_vcu(self) -> int:
        """F1, rounded down."""
        return 1000 * self.measured_mflops // self.reference_mflops

    def encode(self) -> bytes:
        """Deterministic CBOR."""
        table: dict[int, cbor.Value] = {0: DOMAIN}
        for number, value in enumerate(astuple(self), start=1):
            table[number] = list(value) if isinstance(value, tuple) else value
        return cbor.encode(table)


def decode_machine(data: bytes) -> Machine:
    """Raises WireError."""
    match cbor.decode(data):
        case {
            0: "bitwatt/machine/1", 1: int(chain), 2: int(meter), 3: str(kind), 4: str(zone),
            5: list(devices), 6: int(measured), 7: int(reference), 8: int(version), 9: int(at), **rest,
        } if not rest and reference > 0:  # fmt: skip
            names = [name for name in devices if isinstance(name, str) and len(name) <= MAX_TEXT]
            if len(names) != len(devices) or len(names) > 64 or max(len(kind), len(zone)) > MAX_TEXT:
                raise WireError("machine.devices", "are at most 64 names of at most 200 characters")
            return Machine(chain, meter, kind, zone, tuple(names), measured, reference, version, at)
    raise WireError("machine", f"is no {DOMAIN!r} map")


def sign_machine(key: DeviceKey, machine: Machine) -> Envelope:
    """The machine's document under its device's signature."""
    payload = machine.encode()
    return Envelope(payload, key.sign(payload))
