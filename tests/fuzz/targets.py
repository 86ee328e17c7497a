"""Parsers that read bytes of strangers: each takes any input and answers, or raises its own named error.

A target is a name, seeds (valid documents, so that mutations reach deep), and a function of bytes. Whatever
it raises that is not in `refuses` is a defect.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from audit.archive import parse_json
from audit.bundle import read_bundle
from audit.chain import BookError as AddressBookError
from audit.chain import read_book
from audit.signing import ReportForged, create_identity, sign_report, verify_report
from backend.api.intrusion_cli import parse as parse_access
from backend.day.errors import DataFileError
from backend.day.sources.carbon import read_carbon
from backend.day.sources.generation import read_generation
from backend.day.sources.jobs import read_jobs
from backend.day.sources.prices import read_price
from backend.market.codec import book_from_json, book_to_json, solution_from_json
from backend.market.errors import MarketError
from backend.market.instances import plausible
from oracle.evidence import dev_root
from oracle.evidence.certificates import Refused
from oracle.evidence.document import EvidenceDocument, decode_document
from oracle.evidence.pack import open_pack
from oracle.evidence.simulated import attest
from oracle.evidence.verify import attested, stated_time
from oracle.wire import cbor
from oracle.wire.bundle import decode_bundle
from oracle.wire.disclosure import Commitment, opened
from oracle.wire.errors import WireError
from oracle.wire.keys import DeviceKey
from oracle.wire.machine import Machine, decode_machine
from oracle.wire.pack import parse_pack
from oracle.wire.publication import CarbonDocument, decode_carbon_document
from oracle.wire.reading import NO_AGREEMENT, Reading, decode_envelopes, decode_reading, encode_envelope, seal
from oracle.wire.signed import SignedReport, decode_signed_report
from oracle.wire.typed import Report

AT = 1_508_198_400
VECTORS = Path(__file__).parents[1] / "vectors"
SPLIT = b"\0split\0"
KEY = DeviceKey.from_seed(b"fuzz")


@dataclass(frozen=True)
class Target:
    """One parser: what it may raise, what it reads, and valid inputs to start from."""

    name: str
    refuses: tuple[type[Exception], ...]
    parse: Callable[[bytes], object]
    seeds: Callable[[], tuple[bytes, ...]]


@cache
def _reading() -> Reading:
    return Reading(31337, 103, 1, NO_AGREEMENT, 7, AT, AT + 900, 123_456, 9_999_999)


@cache
def _document() -> EvidenceDocument:
    collateral = dev_root.collateral(AT - 86_400)
    return attest("meter", KEY.public, 103, bytes(32), collateral, 31337)


def _rows(*rows: tuple[object, ...]) -> bytes:
    with tempfile.SpooledTemporaryFile(mode="w+", newline="") as file:
        csv.writer(file).writerows(rows)
        file.seek(0)
        return str(file.read()).encode()


def _of_file(read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A parser of files as a parser of bytes."""

    def parse(data: bytes) -> object:
        with tempfile.NamedTemporaryFile(suffix=".csv") as file:
            file.write(data)
            file.flush()
            return read(Path(file.name))

    return parse


def _evidence(kind: str) -> Callable[[bytes], object]:
    def parse(data: bytes) -> object:
        cut = data.find(SPLIT)
        evidence, collateral = (data, None) if cut < 0 else (data[:cut], data[cut + len(SPLIT) :])
        return attested(kind, evidence, collateral, AT, 31337), stated_time(kind, evidence, collateral)

    return parse


def _quote() -> tuple[bytes, ...]:
    document = _document()
    return (document.evidence + SPLIT + dev_root.collateral(AT - 86_400), document.evidence)


def _vectors(made_up: bytes, *names: str) -> Callable[[], tuple[bytes, ...]]:
    """A made-up input, and vendor-signed evidence (file, its collateral) where the shared vectors are."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "attestation"

    def seeds() -> tuple[bytes, ...]:
        found = [(folder / name).read_bytes() for name in names if (folder / name).is_file()]
        return (made_up, SPLIT.join(found)) if found else (made_up,)

    return seeds


def _signed() -> tuple[bytes, ...]:
    return (json.dumps(sign_report({"failed": 0}, create_identity("fuzz"))).encode(),)


def _book() -> tuple[bytes, ...]:
    return (book_to_json(plausible(4, seed=1)),)


def _address_book() -> tuple[bytes, ...]:
    contracts = {name: {"address": "0x" + "11" * 20, "abi": []} for name in ("Treasury", "BundleMarket")}
    return (json.dumps({"chain_id": 31337, "deploy_block": 0, "contracts": contracts}).encode(),)


def _report() -> tuple[bytes, ...]:
    report = Report(bytes(32), 1, 900, 1800, bytes(32), 0, (0,) * 8, *(bytes(32) for _ in range(6)))
    return (SignedReport(report, bytes(65)).encode(),)


def _pack() -> tuple[bytes, ...]:
    """One slot without readings: small, so that a walk goes far."""
    pack = json.loads((VECTORS / "pack.json").read_text())
    pack |= {"devices": [], "evidence": {}, "collateral": {}, "slots": pack["slots"][:1]}
    pack["slots"][0]["readings"] = pack["slots"][0]["readings"][:1]
    return (json.dumps(pack).encode(),)


_MACHINE = Machine(31337, 7, "cpu", "zone", ("2 x a processor",), 10, 20, 1, 900)


def _disclosure() -> tuple[bytes, ...]:
    return (json.dumps(Commitment.of({"a": "1", "b": "2"}).show(["a"])).encode(),)


_ACCESS = (
    b'{"at": "2026-01-01 00:00:00,123", "logger": "bitwatt.access", "client": "1.2.3.4", "method": "GET", '
    b'"route": "-", "path": "/x", "status": 404}'
)
_CARBON = CarbonDocument(AT, 900, ((500, 400), (300, 200)), ("by hand", "by hand"))
_PHILLY = _rows(
    ("job_id", "submit_utc", "submit_local", "duration_s", "num_gpus", "vc"),
    ("philly-001080", "2017-10-09T07:01:56Z", "2017-10-09T00:01:56", 66, 1, "11cb48"),
)
_DELU = _rows(
    ("zone_id", "interval_start_utc", "price_eur_per_mwh"), ("DE-LU", "2024-04-30T22:00:00Z", "66.81")
)
_RTS_PRICE = _rows(
    ("bus_id", "interval_start_utc", "interval_start_local", "lmp_usd_per_mwh"),
    (101, "2020-07-05T08:00:00Z", "2020-07-05T00:00:00", "22.7325"),
)
_RTS = _rows(
    ("site_id", "interval_start_utc", "interval_start_local", "actual_mw"),
    ("309_WIND_1", "2020-04-01T08:00:00Z", "2020-04-01T00:00:00", "1.9"),
)
_CN_FACTORS = _rows(
    ("year", "level", "name_zh", "name_en", "factor_kgco2_per_kwh"),
    (2022, "nation", "全国", "China", "0.5366"),
)
_REGIONS = _rows(
    ("year", "cloud_region", "location", "google_cfe_share", "grid_ci_g_per_kwh"),
    (2024, "africa-south1", "Johannesburg", "0.15", "656.85"),
)

TARGETS = (
    Target("cbor", (WireError,), cbor.decode, lambda: (encode_envelope(seal(KEY, _reading())),)),
    Target("reading", (WireError,), decode_reading, lambda: (seal(KEY, _reading()).payload,)),
    Target("envelopes", (WireError,), decode_envelopes, lambda: (encode_envelope(seal(KEY, _reading())),)),
    Target("bundle", (WireError,), decode_bundle, lambda: (cbor.encode([1, b"x", [2]]),)),
    Target("damaged bundle", (), read_bundle, lambda: (encode_envelope(seal(KEY, _reading())) * 3,)),
    Target("machine", (WireError,), decode_machine, lambda: (_MACHINE.encode(),)),
    Target("report that goes round", (WireError,), decode_signed_report, _report),
    Target("evidence pack", (WireError,), lambda data: open_pack(parse_pack(data)), _pack),
    Target("carbon document", (WireError,), decode_carbon_document, lambda: (_CARBON.encode(),)),
    Target("evidence document", (WireError, Refused), decode_document, lambda: (_document().encode(),)),
    Target("quote simulated", (Refused,), _evidence("simulated"), _quote),
    Target(
        "quote sgx",
        (Refused,),
        _evidence("sgx"),
        _vectors(_quote()[0], "dcap-qvl/sgx_quote", "dcap-qvl/sgx_quote_collateral.json"),
    ),
    Target(
        "quote tdx",
        (Refused,),
        _evidence("tdx"),
        _vectors(_quote()[0], "dcap-qvl/tdx_quote", "dcap-qvl/tdx_quote_collateral.json"),
    ),
    Target(
        "quote nitro",
        (Refused,),
        _evidence("nitro"),
        _vectors(
            cbor.encode([b"\xa1", {}, b"x", b"y"]), "dstack/dstack__nsm-qvl__tests__nitro_attestation.bin"
        ),
    ),
    Target(
        "quote snp",
        (Refused,),
        _evidence("snp"),
        _vectors(
            bytes(1184) + SPLIT + b"-----BEGIN",
            "dstack/dstack__dstack-attest__tests__sev_snp_attestation.bin",
        ),
    ),
    Target(
        "quote nvgpu",
        (Refused,),
        _evidence("nvgpu"),
        _vectors(
            b'[{"evidence":"AA","certificate":"AA"}]',
            "dstack/dstack__dstack-util__tests__fixtures__gpu_attestation_h100.json",
        ),
    ),
    Target("json", (), parse_json, lambda: (b'{"a":[1,2.5,null,"x"]}',)),
    Target("book", (MarketError,), book_from_json, _book),
    Target("solution", (MarketError,), solution_from_json, _book),
    Target("address book", (AddressBookError,), lambda data: read_book(data, "book"), _address_book),
    Target("signed report", (ReportForged,), verify_report, _signed),
    Target("disclosure", (WireError,), lambda data: opened(parse_json(data)[0]), _disclosure),
    Target("access log", (), lambda data: parse_access(data.decode("utf-8", "replace")), lambda: (_ACCESS,)),
    Target("jobs csv", (DataFileError,), _of_file(lambda path: read_jobs(path, 2017)), lambda: (_PHILLY,)),
    Target("generation csv", (DataFileError,), _of_file(read_generation), lambda: (_RTS,)),
    Target("price csv", (DataFileError,), _of_file(read_price), lambda: (_DELU, _RTS_PRICE)),
    Target("carbon csv", (DataFileError,), _of_file(read_carbon), lambda: (_CN_FACTORS, _REGIONS)),
)
