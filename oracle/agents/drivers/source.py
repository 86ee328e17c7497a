"""What a live driver offers: a counting energy register, read when an interval ends."""

from __future__ import annotations

from typing import Protocol


class SourceError(Exception):
    """A driver's settings that cannot be used, or a device that is not what they say."""


class Source(Protocol):
    """A device that counts energy. `modulus_mwh` is where its register starts again."""

    @property
    def modulus_mwh(self) -> int:
        """One more than the highest state of the register, mWh."""
        ...

    async def register_mwh(self) -> int | None:
        """The register's state, None when the device does not answer or has no value."""
        ...

    async def close(self) -> None:
        """Lets go of the device."""
        ...
