"""Intel SGX and TDX quotes through dcap-qvl, with archived collateral and an explicit verification time.

Simulated evidence takes exactly this path; only the trust anchor differs (Intel's root, built into dcap-
qvl, or the development root). `measurement` is MRENCLAVE for SGX, and SHA-256(MRTD || RTMR0..3) for TDX.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import dcap_qvl

from oracle.evidence.certificates import Attested, Refused, Window, bounded

SGX, TDX = "sgx", "tdx"
MAX_QUOTE = 64 * 1024
MAX_COLLATERAL = 512 * 1024
FORBIDDEN_STATUS = frozenset({"OutOfDate", "OutOfDateConfigurationNeeded", "Revoked"})
_SGX_DEBUG, _TDX_DEBUG = 0x02, 0x01
_TEE_TDX = 0x81


def attested_sgx(evidence: bytes, collateral: bytes | None, at: int) -> Attested:
    """An SGX quote under Intel's root at unix second `at`; raises Refused with field quote or collateral."""
    return attested(SGX, evidence, collateral, at, None)


def attested_tdx(evidence: bytes, collateral: bytes | None, at: int) -> Attested:
    """A TDX quote under Intel's root at unix second `at`; raises Refused with field quote or collateral."""
    return attested(TDX, evidence, collateral, at, None)


def attested(
    kind: str, evidence: bytes, collateral: bytes | None, at: int, root_der: bytes | None
) -> Attested:
    """What a quote of `kind` proves under `root_der` (None: Intel's root) at unix second `at`.

    Raises Refused with field `quote` or `collateral` and dcap-qvl's reason.
    """
    if not collateral:
        raise Refused(
            "collateral", "is missing", "give TCB info, QE identity, chains and CRLs as one JSON file"
        )
    bounded("quote", evidence, MAX_QUOTE)
    bounded("collateral", collateral, MAX_COLLATERAL)
    try:
        parsed = dcap_qvl.parse_quote(evidence)
    except ValueError as error:
        raise Refused("quote", f"is not a quote ({error})") from None
    if parsed.is_tdx() != (kind == TDX):
        raise Refused("quote", f"is a {parsed.quote_type()} quote, not {kind.upper()}", "name its kind")
    if any(evidence[_quote_end(evidence) :]):
        raise Refused("quote", "something other than zero padding follows it")
    try:
        bundle = dcap_qvl.QuoteCollateralV3.from_json(collateral.decode())
    except (ValueError, UnicodeDecodeError) as error:
        raise Refused("collateral", f"cannot be read ({error})") from None
    try:
        verifier = dcap_qvl.QuoteVerifier(root_der)
        policy = dcap_qvl.QuotePolicy.claims_only(at)
        claims = json.loads(verifier.verify_with_policy(evidence, bundle, at, policy).to_json())
    except ValueError as error:
        raise Refused("quote", f"does not verify at {at}: {_reason(error)}") from None
    return _attested(claims)


def _quote_end(evidence: bytes) -> int:
    """Where a well-formed quote of version 3, 4 or 5 ends; dcap-qvl itself does not look behind it."""
    version = int.from_bytes(evidence[0:2], "little")
    is_tdx = int.from_bytes(evidence[4:8], "little") == _TEE_TDX
    body = 48 + (584 if is_tdx else 384)
    if version == 5:
        body = 54 + int.from_bytes(evidence[50:54], "little")
    return body + 4 + int.from_bytes(evidence[body : body + 4], "little")


def stated_time(collateral: bytes | None) -> int:
    """The time DCAP evidence itself states: the latest issue date in its collateral, unix seconds.

    A quote carries no clock; its collateral says when it was issued. Raises Refused("collateral").
    """
    try:
        table = json.loads(collateral or b"")
        documents = [json.loads(table[name]) for name in ("tcb_info", "qe_identity")]
        dates = [
            datetime.fromisoformat(document["issueDate"].replace("Z", "+00:00")) for document in documents
        ]
        return max(int(date.timestamp()) for date in dates)
    except (ValueError, KeyError, TypeError) as error:
        raise Refused("collateral", f"states no issue date ({error})", "give --at in unix seconds") from None


def _reason(error: ValueError) -> str:
    """dcap-qvl's message on one line, from the outer cause to the inner."""
    return " ".join(str(error).removeprefix("Verification failed: ").replace("Caused by:", "").split())


def _attested(claims: Mapping[str, Any]) -> Attested:
    body: Mapping[str, Any] = next(iter(claims["report"].values()))
    if "mr_enclave" in body:
        measurement = bytes.fromhex(body["mr_enclave"])
        debug = bytes.fromhex(body["attributes"])[0] & _SGX_DEBUG
        details = {"mr_enclave": body["mr_enclave"], "mr_signer": body["mr_signer"]}
    else:
        names = ("mr_td", "rt_mr0", "rt_mr1", "rt_mr2", "rt_mr3")
        measurement = hashlib.sha256(b"".join(bytes.fromhex(body[name]) for name in names)).digest()
        debug = bytes.fromhex(body["td_attributes"])[0] & _TDX_DEBUG
        details = {name: body[name] for name in ("mr_seam", *names)}
    status = claims["tcb"]["status"]
    forbidden = "debug mode: the host can read and change the enclave" if debug else ""
    if status in FORBIDDEN_STATUS:
        forbidden = forbidden or f"TCB status {status} is below the minimum"
    expiry = min(claims["earliest_expiration_date"], claims["qe_iden_earliest_expiration_date"])
    issued = max(claims["latest_issue_date"], claims["qe_iden_latest_issue_date"])
    advisories = " ".join(claims["tcb"]["advisory_ids"])
    return Attested(
        measurement=measurement,
        report_data=bytes.fromhex(body["report_data"]),
        signed_at=issued,
        limits=Window(issued, expiry),
        status=status,
        forbidden=forbidden,
        details={**details, **({"advisories": advisories} if advisories else {})},
    )
