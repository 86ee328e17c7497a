"""Client of FlexMarket: leaves and trees of a period, its transactions and what it says (F5 on chain).

Energy in Wh, prices in micro-units per kWh, money in micro-units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eth_abi.abi import encode

from backend.chain.clients import LARGE_GAS, Client
from backend.chain.keccak import keccak
from backend.chain.plan import Call
from oracle.wire.merkle import MerkleTree

SETTLE_AT_ONCE = 40
CLAIM_AT_ONCE = 120


def _leaf(types: Sequence[str], values: Sequence[object]) -> bytes:
    return keccak(keccak(encode(types, values)))


@dataclass(frozen=True, slots=True)
class Award:
    """What an aggregator was awarded in one period, at its index there."""

    index: int
    aggregator: str
    product: str
    declared_wh: int
    price_micro_per_kwh: int

    def abi(self) -> tuple[object, ...]:
        """The struct as the contract takes it."""
        name = self.product.encode()[:32].ljust(32, b"\0")
        return (self.index, self.aggregator, name, self.declared_wh, self.price_micro_per_kwh)

    def leaf(self, period_id: int) -> bytes:
        """Its leaf in the awards' tree."""
        kinds = ("uint64", "uint32", "address", "bytes32", "uint64", "int64")
        return _leaf(kinds, (period_id, *self.abi()))


@dataclass(frozen=True, slots=True)
class Delivery:
    """What was delivered of the award at the same index, and the hash of what that was measured from."""

    delivered_wh: int
    inputs_hash: str

    def abi(self) -> tuple[object, ...]:
        """The struct as the contract takes it."""
        return (self.delivered_wh, bytes.fromhex(self.inputs_hash[2:]))

    def leaf(self, period_id: int, index: int) -> bytes:
        """Its leaf in the deliveries' tree."""
        return _leaf(("uint64", "uint32", "uint64", "bytes32"), (period_id, index, *self.abi()))


@dataclass(frozen=True, slots=True)
class Share:
    """A member's part of what an aggregator was paid in a period."""

    account: str
    amount_micro: int

    def leaf(self, period_id: int, aggregator: str) -> bytes:
        """Its leaf in the aggregator's split."""
        kinds = ("uint64", "address", "address", "uint128")
        return _leaf(kinds, (period_id, aggregator, self.account, self.amount_micro))


@dataclass(frozen=True, slots=True)
class Stake:
    """What an aggregator may earn and lose at most in a period."""

    aggregator: str
    awards: int
    payment_micro: int
    penalty_micro: int


def stakes_of(awards: Sequence[Award]) -> list[Stake]:
    """The stakes that cover a period's awards at their most: full payment, penalty one and a half times."""
    found: dict[str, list[int]] = {}
    for award in awards:
        sums = found.setdefault(award.aggregator, [0, 0, 0])
        worth = award.declared_wh * abs(award.price_micro_per_kwh)
        sums[0] += 1
        sums[1] += worth // 1000 if award.price_micro_per_kwh > 0 else 0
        sums[2] += -(-worth * 15 // 10_000)
    return [Stake(name, *sums) for name, sums in sorted(found.items())]


class FlexMarket(Client):
    """Awards and deliveries of virtual power plants, anchored and settled."""

    name = "FlexMarket"

    def trust(self, operator: str, trusted: bool = True) -> Call:
        """Lets an operator lock the sender's money for awards."""
        return self.call("trust", operator, trusted)

    @staticmethod
    def awards_root(period_id: int, awards: Sequence[Award]) -> str:
        """Root of the awards' tree, hex."""
        return "0x" + MerkleTree.of(award.leaf(period_id) for award in awards).root.hex()

    @staticmethod
    def deliveries_root(period_id: int, deliveries: Sequence[Delivery]) -> str:
        """Root of the deliveries' tree, hex."""
        return "0x" + MerkleTree.of(d.leaf(period_id, n) for n, d in enumerate(deliveries)).root.hex()

    @staticmethod
    def split_root(period_id: int, aggregator: str, shares: Sequence[Share]) -> bytes:
        """Root of an aggregator's split."""
        return MerkleTree.of(share.leaf(period_id, aggregator) for share in shares).root

    def anchor_awards(self, period_id: int, payer: str, end: int, awards: Sequence[Award]) -> Call:
        """Anchors a period's awards and locks both sides at their most."""
        root = MerkleTree.of(award.leaf(period_id) for award in awards).root
        stakes = [(s.aggregator, s.awards, s.payment_micro, s.penalty_micro) for s in stakes_of(awards)]
        return self.call("anchorAwards", period_id, payer, end, root, stakes, gas=LARGE_GAS)

    def anchor_deliveries(self, period_id: int, deliveries: Sequence[Delivery]) -> Call:
        """Anchors what was delivered of each award, in their order."""
        tree = MerkleTree.of(d.leaf(period_id, n) for n, d in enumerate(deliveries))
        return self.call("anchorDeliveries", period_id, tree.root)

    def settle(
        self, period_id: int, awards: Sequence[Award], deliveries: Sequence[Delivery],
        which: Sequence[int] | None = None,
    ) -> list[tuple[str, Call]]:  # fmt: skip
        """Settles awards of a period (all, or those at `which`), so many at once; each with its name."""
        left = set(range(len(awards)) if which is None else which)
        tree = MerkleTree.of(award.leaf(period_id) for award in awards)
        measured = MerkleTree.of(d.leaf(period_id, n) for n, d in enumerate(deliveries))
        calls = []
        for a in range(0, len(awards), SETTLE_AT_ONCE):
            part = [n for n in range(a, min(a + SETTLE_AT_ONCE, len(awards))) if n in left]
            if not part:
                continue
            call = self.call(
                "settle", period_id, [awards[n].abi() for n in part], [deliveries[n].abi() for n in part],
                [tree.proof(awards[n].leaf(period_id)) for n in part],
                [measured.proof(deliveries[n].leaf(period_id, n)) for n in part],
                gas=LARGE_GAS, label=f"awards {a}..",
            )  # fmt: skip
            calls.append((f"{part[0]}-{len(part)}", call))
        return calls

    def dispute(
        self, period_id: int, award: Award, awards: Sequence[Award], evidence_hash: bytes
    ) -> Call:  # fmt: skip
        """Disputes the delivery of one award."""
        tree = MerkleTree.of(a.leaf(period_id) for a in awards)
        return self.call("dispute", period_id, award.abi(), tree.proof(award.leaf(period_id)), evidence_hash)

    def resolve(self, period_id: int, index: int, delivered_wh: int, reason_hash: bytes) -> Call:
        """Decides a dispute."""
        return self.call("resolve", period_id, index, delivered_wh, reason_hash)

    def release(self, period_id: int, aggregator: str) -> Call:
        """Gives back what a stake still holds."""
        return self.call("release", period_id, aggregator)

    def anchor_split(self, period_id: int, aggregator: str, shares: Sequence[Share]) -> Call:
        """Sets aside what the sender was paid for its members."""
        root = MerkleTree.of(share.leaf(period_id, aggregator) for share in shares).root
        return self.call("anchorSplit", period_id, root, sum(share.amount_micro for share in shares))

    def claim(
        self, period_id: int, aggregator: str, shares: Sequence[Share], which: Sequence[Share] | None = None
    ) -> list[tuple[str, Call]]:
        """Pays members (all, or those in `which`) their parts, so many at once; each with its name."""
        tree = MerkleTree.of(share.leaf(period_id, aggregator) for share in shares)
        left = list(shares if which is None else which)
        calls = []
        for a in range(0, len(left), CLAIM_AT_ONCE):
            part = left[a : a + CLAIM_AT_ONCE]
            call = self.call(
                "claim", period_id, aggregator, [s.account for s in part], [s.amount_micro for s in part],
                [tree.proof(s.leaf(period_id, aggregator)) for s in part], gas=LARGE_GAS,
                label=f"members {a}..",
            )  # fmt: skip
            calls.append((f"{part[0].account}-{len(part)}", call))
        return calls

    def amounts(self, declared_wh: int, delivered_wh: int, price_micro_per_kwh: int) -> tuple[int, int]:
        """F5 as the contract computes it: (payment, penalty), micro-units."""
        payment, penalty = self.read("amounts", declared_wh, delivered_wh, price_micro_per_kwh)
        return int(payment), int(penalty)
