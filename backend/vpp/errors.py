"""What can be wrong with a bid, a resource, a series or a dispatch: each names field, value and mend."""

from __future__ import annotations


class FlexError(ValueError):
    """A value breaks a rule of the flexibility market.

    `rule` is a stable code such as `gate_closed`; `field` a dotted path such as `orders[3].price_ticks`.
    """

    def __init__(self, rule: str, field: str, value: object, mend: str) -> None:
        super().__init__(f"{field} = {value!r}: {mend}")
        self.rule, self.field, self.value, self.mend = rule, field, value, mend


class GateClosed(FlexError):
    """A bid came after its gate closure."""
