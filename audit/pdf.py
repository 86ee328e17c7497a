"""The audit as a signed PDF: reportlab draws it, pyHanko signs it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.sax.saxutils import escape

from asn1crypto import x509 as asn1_x509
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import PdfSignatureMetadata, SimpleSigner, sign_pdf
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from audit.signing import Identity, ReportForged

_STYLES = getSampleStyleSheet()
_SMALL = ParagraphStyle("small", parent=_STYLES["BodyText"], fontSize=7, leading=8.5)
_MONO = ParagraphStyle("mono", parent=_SMALL, fontName="Courier", wordWrap="CJK")
_COLOURS = {"pass": "#1a7f37", "fail": "#b42318", "inconclusive": "#9a6700"}
FIELD = "Auditor"
MAX_SHOWN = 50


def _text(value: object) -> str:
    """Text the standard PDF fonts can show; anything else as its code point, so that nothing is hidden."""
    return escape(str(value).encode("latin-1", "backslashreplace").decode("latin-1"))


def _facts(rows: Sequence[tuple[str, object]]) -> Table:
    cells = [[Paragraph(_text(name), _SMALL), Paragraph(_text(value), _MONO)] for name, value in rows]
    return Table(
        cells, colWidths=[38 * mm, 140 * mm], style=TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP")])
    )


def _checks(report: Mapping[str, Any]) -> Table:
    rows: list[list[Any]] = [["verdict", "check", "checked", "reference"]]
    style: list[Any] = [
        ("FONTSIZE", (0, 0), (-1, -1), 7),
        ("LINEBELOW", (0, 0), (-1, 0), 0.5, colors.black),
        ("ALIGN", (2, 0), (2, -1), "RIGHT"),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 1),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
    ]
    for at, item in enumerate(report["checks"], start=1):
        reference = Paragraph(_text(item["reference"]), _SMALL)
        rows.append([item["verdict"], _text(item["name"]), f"{item['checked']:,}", reference])
        style.append(("TEXTCOLOR", (0, at), (0, at), colors.HexColor(_COLOURS[item["verdict"]])))
    return Table(rows, colWidths=[20 * mm, 40 * mm, 20 * mm, 98 * mm], repeatRows=1, style=TableStyle(style))


def _findings(report: Mapping[str, Any]) -> list[Any]:
    story: list[Any] = []
    for item in report["checks"]:
        if not item["findings"]:
            continue
        story.append(Paragraph(f"{_text(item['name'])}: {item['verdict']}", _STYLES["Heading3"]))
        for finding in item["findings"][:MAX_SHOWN]:
            rows = [(name, finding[name]) for name in ("subject", "expected", "found")]
            story.append(_facts(rows))
        if len(item["findings"]) > MAX_SHOWN:
            story.append(Paragraph(f"and {len(item['findings']) - MAX_SHOWN} more in the JSON", _SMALL))
    return story


def draw(report: Mapping[str, Any]) -> bytes:
    """The unsigned PDF of a report (see `output.full_report`); the same report gives the same bytes."""
    target = io.BytesIO()

    def number(canvas: Any, document: Any) -> None:
        canvas.setFont("Helvetica", 7)
        canvas.drawRightString(A4[0] - 15 * mm, 8 * mm, f"page {document.page}")

    page = SimpleDocTemplate(
        target,
        pagesize=A4,
        title="BitWatt audit",
        author="bitwatt audit",
        leftMargin=15 * mm,
        rightMargin=15 * mm,
        topMargin=15 * mm,
        bottomMargin=15 * mm,
        invariant=1,
    )
    head = report["head"]
    verdict = f"{report['passed']} passed, {report['failed']} failed, {report['inconclusive']} inconclusive"
    when = datetime.fromtimestamp(head["timestamp"], UTC).isoformat()
    span = report["window"]
    rows = [
        ("chain id", report["chain_id"]),
        ("head block", f"{head['number']} of {when}"),
        ("audited time", f"[{span['start'] or 'genesis'}, {span['end'] or 'head'})"),
        *((name, address) for name, address in report["addresses"].items()),
    ]
    story = [
        Paragraph("BitWatt audit", _STYLES["Title"]),
        Paragraph(verdict, _STYLES["Heading2"]),
        _facts(rows),
        Spacer(1, 6),
        _checks(report),
        Spacer(1, 6),
        *_findings(report),
    ]
    page.build(story, onFirstPage=number, onLaterPages=number)
    return target.getvalue()


def sign(content: bytes, identity: Identity) -> bytes:
    """The PDF with an invisible signature over all of it."""
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("key.pem", "certificate.pem")]
        for path, pem in zip(paths, identity.pem(), strict=True):
            path.touch(mode=0o600)
            path.write_bytes(pem)
        signer = SimpleSigner.load(  # type: ignore[no-untyped-call]
            str(paths[0]), str(paths[1])
        )
    if signer is None:
        raise ReportForged("the key and its certificate cannot sign a PDF")
    meta = PdfSignatureMetadata(field_name=FIELD, md_algorithm="sha256", reason="Result of bitwatt audit")
    target = io.BytesIO()
    sign_pdf(IncrementalPdfFileWriter(io.BytesIO(content)), meta, signer=signer, output=target)
    return target.getvalue()


def verify(content: bytes) -> str:
    """Fingerprint of the certificate that signed a whole, unchanged PDF; raises ReportForged."""
    try:
        reader = PdfFileReader(io.BytesIO(content))
        signatures = list(reader.embedded_signatures)
        if len(signatures) != 1:
            raise ReportForged(f"{len(signatures)} signatures, expected one")
        certificate: asn1_x509.Certificate = signatures[0].signer_cert
        trust = ValidationContext(trust_roots=[certificate], allow_fetching=False)
        status = validate_pdf_signature(signatures[0], trust)
    except (PdfError, SignatureValidationError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ReportForged(f"not a signed PDF: {error}") from None
    if not (status.intact and status.valid and status.coverage == SignatureCoverageLevel.ENTIRE_FILE):
        raise ReportForged("the signature does not cover the file as it is: it was changed")
    return certificate.sha256.hex()
