"""Opens an evidence pack offline: the wire format's checks, and the quotes at the time of their recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oracle.evidence.document import decode_document
from oracle.evidence.verify import verify_device
from oracle.wire.errors import WireError
from oracle.wire.keys import sha256
from oracle.wire.pack import MISSHAPEN, Finding, check_pack


def open_pack(pack: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict on a parsed pack: `checks`, `problems` (none when all holds), and what was delivered.

    Raises WireError when the shape is broken.
    """
    findings, results = check_pack(pack)
    findings += check_quotes(pack)
    return {
        "agreement_id": pack["agreement_id"],
        "checks": len(findings),
        "problems": [f"{item.place}: {item.what}: {item.problem}" for item in findings if item.problem],
        "slots_due": pack["slots_due"],
        "slots": [
            {
                "start": result.start,
                "delivered_milli_lanes": result.delivered_milli_lanes,
                "matched_wh": result.matched_wh,
            }
            for result in results
        ],
    }


def verdict_text(verdict: Mapping[str, Any]) -> str:
    """The verdict for people."""
    delivered = sum(slot["delivered_milli_lanes"] for slot in verdict["slots"])
    matched = sum(slot["matched_wh"] for slot in verdict["slots"])
    lines = [
        f"agreement {verdict['agreement_id']}: {len(verdict['slots'])} of {verdict['slots_due']} slots",
        f"delivered {delivered / 1000:g} VCU-slots, matched {matched:,} Wh",
        f"{verdict['checks']} checks, {len(verdict['problems'])} do not hold",
    ]
    return "\n".join(lines + [f"  {problem}" for problem in verdict["problems"]])


def check_quotes(pack: Mapping[str, Any]) -> list[Finding]:
    """One finding for each device of a pack: genuine, allowed, bound to its key, the measurement recorded.

    Raises WireError when the shape is broken.
    """
    try:
        return [_check(pack, row) for row in pack["devices"]] + _keys(pack)
    except MISSHAPEN as error:
        if isinstance(error, WireError):
            raise
        raise WireError("pack.devices", f"a part is missing or of another kind: {error!r}") from None


def _keys(pack: Mapping[str, Any]) -> list[Finding]:
    """One finding for each document that a reading names: it is that of the reading's key."""
    rows = [row for entry in pack["slots"] for row in entry["readings"]]
    found = []
    for name, x, y in sorted({(row["evidence_hash"], row["x"], row["y"]) for row in rows}):
        if name not in pack["evidence"]:
            continue
        try:
            document = decode_document(bytes.fromhex(pack["evidence"][name][2:]))
            same = ("0x" + document.x.hex(), "0x" + document.y.hex()) == (x, y)
            problem = "" if same else "it is of another key"
        except WireError as error:
            problem = str(error)
        found.append(Finding(f"evidence {name[:18]}", "it is of the reading's key", problem))
    return found


def _check(pack: Mapping[str, Any], row: Mapping[str, Any]) -> Finding:
    what, place = "its quote is genuine", f"meter {int(row['meter_id'])}"
    content = pack["evidence"].get(row["evidence_hash"])
    if content is None:
        return Finding(place, what, f"{row['evidence_hash']} is not in the pack")
    try:
        document = decode_document(bytes.fromhex(content[2:]))
    except WireError as error:
        return Finding(place, what, str(error))
    collateral = None
    if any(document.collateral_hash):
        name = "0x" + document.collateral_hash.hex()
        if name not in pack["collateral"]:
            return Finding(place, what, f"its collateral {name} is not in the pack")
        collateral = str(pack["collateral"][name]).encode()
        if sha256(collateral) != document.collateral_hash:
            return Finding(place, what, f"its collateral {name} was altered")
    verdict = verify_device(document, collateral, int(row["recorded_at"]), int(pack["chain_id"]))
    if not verdict.allowed:
        return Finding(place, what, verdict.reason)
    bound = (
        document.meter_id == int(row["meter_id"]) and "0x" + verdict.measurement.hex() == row["measurement"]
    )
    return Finding(place, what, "" if bound else "it is of another meter or measurement")
