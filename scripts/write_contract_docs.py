"""Renders the NatSpec of the contracts' interfaces into docs/contracts, one page a contract.

Usage: write_contract_docs.py [--check]. Reads the interfaces' sources, which carry the whole documentation (STYLE: the
interface is the document); with --check nothing is written and the exit code is 1 where a page is not current.
"""

# ruff: noqa: E501
from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "contracts" / "interfaces"
PAGES = ROOT / "docs" / "contracts"
ITEM = re.compile(
    r"((?:^ *///[^\n]*\n)*)^    (function|event|error|struct|enum) (\w+)(.*?)(?:;|\n    })\n", re.M | re.S
)
GROUPS = (
    ("function", "Functions"),
    ("event", "Events"),
    ("error", "Errors"),
    ("struct", "Types"),
    ("enum", "Types"),
)


def text_of(comment: str) -> str:
    """The words of a block of /// lines; `@param x` becomes a list."""
    lines = [
        line.strip().removeprefix("///").strip() for line in comment.strip().splitlines() if line.strip()
    ]
    words = " ".join(line for line in lines if line).replace("@notice ", "").replace("@title ", "")
    words = words.replace("@dev ", "").replace("@return ", "\n- returns ")
    return re.sub(r";? ?@param (\w+(?:, \w+)*)", r"\n- `\1`:", words).strip()


def signature_of(kind: str, name: str, rest: str) -> str:
    """One line of Solidity for a function, event or error; the fields for a type."""
    if kind in ("struct", "enum"):
        fields = [re.sub(r" *///.*", "", line).strip() for line in rest.strip(" {\n").splitlines()]
        return f"{kind} {name} {{ " + " ".join(field for field in fields if field) + " }"
    return re.sub(r"\s+", " ", f"{kind} {name}{rest}").replace("( ", "(").replace(" )", ")").strip()


def page_of(source: str) -> str:
    """The Markdown page of one interface."""
    head, body = re.split(r"^interface ", source, maxsplit=1, flags=re.M)
    name = body.split()[0].removeprefix("I")
    comment = "\n".join(re.findall(r"^ *///.*$", head, re.M))
    title = re.search(r"@title ([^\n]*)", comment)
    notice = re.sub(r"///\s*@title [^\n]*\n?", "", comment)
    notice = re.sub(r"^ *///\s?", "", notice, flags=re.M).replace("@notice ", "").replace("@dev ", "")
    sentence = r"^(Units|Powers[^:\n]*|Never|Assumes[^:\n]*|Rounding|Two nullifiers)(?=[: ])"
    out = [
        f"# {name}",
        "",
        f"*{title.group(1) if title else name}*",
        "",
        re.sub(sentence, r"\n**\1**", notice, flags=re.M).strip(),
    ]
    shown: set[str] = set()
    for kind, heading in GROUPS:
        items = [match for match in ITEM.finditer(source) if match.group(2) == kind]
        if not items:
            continue
        if heading not in shown:
            out += ["", f"## {heading}"]
            shown.add(heading)
        for match in items:
            doc = text_of(match.group(1))
            if kind == "error" and not doc:
                out += ["", f"- `{signature_of(kind, match.group(3), match.group(4))}`"]
                continue
            out += [
                "",
                f"### {match.group(3)}",
                "",
                "```solidity",
                signature_of(kind, match.group(3), match.group(4)),
                "```",
            ]
            out += ["", doc] if doc else []
    return "\n".join(out).rstrip() + "\n"


def pages() -> dict[str, str]:
    """Every page by file name, with an index."""
    made = {}
    for path in sorted(SOURCES.glob("I*.sol")):
        made[f"{path.stem[1:]}.md"] = page_of(path.read_text(encoding="utf-8"))
    index = ["# Contracts", "", "Rendered from the interfaces by `make contract-docs`; do not edit.", ""]
    index += [
        f"- [{name.removesuffix('.md')}]({name}): {made[name].splitlines()[2].strip('*')}" for name in made
    ]
    return {"README.md": "\n".join(index) + "\n", **made}


def main() -> int:
    parser = argparse.ArgumentParser(description="Renders docs/contracts from the interfaces.")
    parser.add_argument("--check", action="store_true", help="only say whether the pages are current")
    check = parser.parse_args().check
    made = pages()
    stale = [
        name
        for name, text in made.items()
        if not (PAGES / name).exists() or (PAGES / name).read_text("utf-8") != text
    ]
    stale += [path.name for path in sorted(PAGES.glob("*.md")) if path.name not in made]
    if check:
        print(
            f"docs/contracts: {', '.join(stale)} not current: run `make contract-docs`"
            if stale
            else "docs/contracts is current"
        )
        return 1 if stale else 0
    PAGES.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (PAGES / name).unlink(missing_ok=True)
    for name, text in made.items():
        (PAGES / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
