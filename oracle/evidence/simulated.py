"""Simulated evidence for a device, from the dev root: what an enclave and its vendor would hand out."""

from __future__ import annotations

from oracle.evidence import dev_root
from oracle.evidence.document import EvidenceDocument
from oracle.evidence.verify import DEV_CHAIN_ID, SimulatedOffDevChain
from oracle.wire.attestation import report_data
from oracle.wire.keys import DevicePublicKey, sha256


def attest(
    role: str, key: DevicePublicKey, meter_id: int, nonce: bytes, collateral: bytes, chain_id: int
) -> EvidenceDocument:
    """The document of a device that runs the agent `role` ("meter" or "workload").

    Raises SimulatedOffDevChain unless `chain_id` is the development chain's.
    """
    if chain_id != DEV_CHAIN_ID:
        raise SimulatedOffDevChain(chain_id)
    data = report_data(key.x, key.y, nonce, meter_id)
    evidence = dev_root.quote(data, dev_root.MEASUREMENTS[role])
    return EvidenceDocument(
        "simulated", chain_id, meter_id, key.x, key.y, nonce, evidence, sha256(collateral)
    )
