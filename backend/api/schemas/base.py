"""What all bodies share: unknown fields are refused; addresses, hashes, times and pages are typed."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

T = TypeVar("T")


class Body(BaseModel):
    """A request body: every field known, every type exact."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Answer(BaseModel):
    """A response body."""

    model_config = ConfigDict(from_attributes=True)


class Page(Answer, Generic[T]):
    """One page of a listing; `next_cursor` is null on the last."""

    items: list[T]
    next_cursor: str | None = Field(default=None, description="give it as `cursor` to go on", examples=[None])


def _no_controls(text: str) -> str:
    if any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) <= 0xDFFF for char in text):
        raise ValueError("control characters are not taken")
    return text.strip()


def _not_blank(text: str) -> str:
    if not text:
        raise ValueError("a name needs at least one visible character")
    return text


Address = Annotated[
    str,
    Field(pattern=r"^0x[0-9a-fA-F]{40}$", examples=["0x70997970c51812dc3a010c7d01b50e0d17dc79c8"]),
    AfterValidator(str.lower),
]
Hash = Annotated[
    str,
    Field(pattern=r"^0x[0-9a-fA-F]{64}$", examples=["0x" + "3f" * 32]),
    AfterValidator(str.lower),
]
HexData = Annotated[str, Field(pattern=r"^0x([0-9a-fA-F]{2})*$", examples=["0x095ea7b3"])]
Signature = Annotated[
    str,
    Field(pattern=r"^0x([0-9a-fA-F]{2}){65,2048}$", max_length=4100, examples=["0x" + "1b" * 65]),
]
Name = Annotated[
    str, Field(min_length=1, max_length=120, examples=["Shanghai lab"]),
    AfterValidator(_no_controls), AfterValidator(_not_blank),
]  # fmt: skip
Label = Annotated[str, Field(max_length=120, examples=["night jobs"]), AfterValidator(_no_controls)]
Id = Annotated[str, Field(pattern=r"^[0-9a-z]{26}$", examples=["01k0zq3v5m8rw2e6t9yhb4cndx"])]


def _moment(value: object) -> object:
    return (
        datetime.fromtimestamp(value, UTC)
        if isinstance(value, int) and not isinstance(value, bool)
        else value
    )


@lru_cache(maxsize=64)
def moment_text(at: int) -> str:
    """Unix seconds as the API writes a moment."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    PlainSerializer(
        lambda value: value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        return_type=Annotated[str, Field(json_schema_extra={"format": "date-time"})],
    ),
]
"""ISO 8601 with zone; unix seconds inside."""

Digits = Annotated[str, Field(pattern=r"^-?[0-9]{1,78}$", examples=["18446744073709551615"])]
"""An integer that may be beyond 2**53, as decimal text, so that browsers read it exactly."""

Uint32 = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
Uint16 = Annotated[int, Field(ge=0, le=0xFFFF)]
Seconds = Annotated[int, Field(ge=0, lt=1 << 40, description="unix seconds", examples=[1508191200])]
Micro = Annotated[
    int, Field(description="micro-units of the settlement token (6 decimals)", examples=[1200000])
]


def big(value: object) -> object:
    """Accepts an integer or its decimal text for fields up to 2**64 - 1."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        return int(value)
    return value


Uint64 = Annotated[
    int,
    BeforeValidator(big, json_schema_input_type=int | str),
    Field(ge=0, lt=1 << 64),
]
"""Below 2**64, as a number or as decimal text."""
Uint63 = Annotated[
    int,
    BeforeValidator(big, json_schema_input_type=int | str),
    Field(ge=0, lt=1 << 63),
]
"""Below 2**63, as a number or as decimal text."""
