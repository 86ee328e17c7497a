"""Block, linked and shiftable bids on top of zonal clearing.

A block is one quantity profile with one limit price, taken whole or from `min_accept_milli` on. A linked
block is taken at most as far as its parent. A shiftable block may start at any slot of its window and
ends by its deadline. The rule, which is that of coupled European markets: prices are those of the
stepwise orders with the accepted blocks as firm quantities; no accepted block loses money at them (a
parent may, if its accepted children make up for it); a block that could have gained may stay rejected,
because an indivisible bid can move the price against itself.

The search is a fixed one: blocks in order of gain per Wh (then id) are tried whole, then on ever smaller
shares down to their minimum, later starts by their gain; a trial stays if everybody accepted still gains and
welfare does not fall. Passes repeat until nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from backend.vpp.errors import FlexError
from backend.vpp.spot import Band, Grid, Ints, Orders, ZonalResult

WHOLE = 1000
MAX_PASSES = 6
STARTS_TRIED = 3


@dataclass(frozen=True, slots=True)
class Block:
    """`profile_wh` (positive buys) from `first_slot`, worth `limit_ticks` a MWh on average.

    `latest_start` beyond `first_slot` makes it shiftable: its deadline is latest_start + len(profile_wh).
    """

    id: str
    zone: int
    first_slot: int
    profile_wh: tuple[int, ...]
    limit_ticks: int
    min_accept_milli: int = WHOLE
    parent: str | None = None
    latest_start: int | None = None

    @property
    def starts(self) -> range:
        """Slots at which it may begin."""
        return range(self.first_slot, (self.latest_start or self.first_slot) + 1)

    def wh(self, milli: int) -> Ints:
        """The profile at a share, whole Wh, rounded towards zero."""
        profile = np.array(self.profile_wh, np.int64)
        return np.sign(profile) * (np.abs(profile) * milli // WHOLE)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A block taken at `milli` thousandths from `start`."""

    block: Block
    start: int
    milli: int


@dataclass(frozen=True, slots=True, eq=False)
class BlockResult:
    """The zonal result of the stepwise orders, and the blocks taken, by id."""

    zonal: ZonalResult
    taken: dict[str, Accepted]
    price_ticks: Ints = field(repr=False)


def check_blocks(blocks: Sequence[Block], slots: int, zones: int, band: Band) -> dict[str, Block]:
    """Blocks by id, sorted; FlexError for what no block may be."""
    table: dict[str, Block] = {}
    for block in sorted(blocks, key=lambda b: b.id):
        at = f"blocks[{block.id}]"
        if block.id in table:
            raise FlexError("duplicate", f"{at}.id", block.id, "give every block its own id")
        if not 0 <= block.zone < zones:
            raise FlexError("wrong_zone", f"{at}.zone", block.zone, f"must be 0..{zones - 1}")
        if not block.profile_wh or len({np.sign(q) for q in block.profile_wh}) != 1 or 0 in block.profile_wh:
            raise FlexError("quantity", f"{at}.profile_wh", block.profile_wh, "all Wh must be of one sign")
        last = (block.latest_start or block.first_slot) + len(block.profile_wh)
        if (
            block.first_slot < 0
            or last > slots
            or (block.latest_start or block.first_slot) < block.first_slot
        ):
            raise FlexError("window", f"{at}.first_slot", block.first_slot, f"must fit into slots 0..{slots}")
        if not band.floor_ticks <= block.limit_ticks <= band.cap_ticks:
            raise FlexError(
                "price_outside_band", f"{at}.limit_ticks", block.limit_ticks, "must lie in the band"
            )
        if not 1 <= block.min_accept_milli <= WHOLE:
            raise FlexError("min_accept", f"{at}.min_accept_milli", block.min_accept_milli, "must be 1..1000")
        table[block.id] = block
    for block in table.values():
        seen, parent = {block.id}, block.parent
        while parent is not None:
            if parent not in table or parent in seen:
                raise FlexError(
                    "link", f"blocks[{block.id}].parent", parent, "must name a block, without a circle"
                )
            seen.add(parent)
            parent = table[parent].parent
    return table


class _Day:
    """The stepwise orders of a day with room for firm block quantities, re-cleared where they change."""

    def __init__(self, orders: Orders, starts: Ints, grid: Grid, band: Band) -> None:
        cells = len(starts) - 1
        self.zones, self.slots, self.grid = grid.zones, cells // grid.zones, grid
        self.cap, self.floor = band.cap_ticks, band.floor_ticks
        self.prices = np.empty(len(orders) + 2 * cells, np.int32)
        self.wh = np.zeros(len(orders) + 2 * cells, np.int64)
        self.starts = starts + 2 * np.arange(cells + 1)
        own = np.ones(len(self.wh), bool)
        own[self.starts[:-1]] = own[self.starts[:-1] + 1] = False
        self.own = own
        self.prices[own], self.wh[own] = orders.price_ticks, orders.quantity_wh
        self.prices[self.starts[:-1]], self.prices[self.starts[:-1] + 1] = self.cap, self.floor
        self.firm = np.zeros((2, self.slots, self.zones), np.int64)
        self.result = self._clear(0, self.slots)
        self.welfare = self._welfare(0, self.slots, self.result)

    def _clear(self, a: int, b: int) -> ZonalResult:
        """Clears slots a..b with the firm quantities as bids at the cap and asks at the floor."""
        from backend.vpp.zonal import clear_zones  # numba loads with the first clearing, not at start-up

        cells = slice(a * self.zones, b * self.zones)
        self.wh[self.starts[cells]] = self.firm[0, a:b].ravel()
        self.wh[self.starts[cells] + 1] = -self.firm[1, a:b].ravel()
        bounds = self.starts[a * self.zones : b * self.zones + 1]
        part = slice(bounds[0], bounds[-1])
        return clear_zones(Orders(self.prices[part], self.wh[part]), bounds - bounds[0], self.grid)

    def _welfare(self, a: int, b: int, result: ZonalResult) -> Ints:
        """Worth of the stepwise fills per slot, tick Wh."""
        bounds = self.starts[a * self.zones : b * self.zones + 1]
        part = slice(bounds[0], bounds[-1])
        worth = np.where(self.own[part], self.prices[part].astype(np.int64) * result.filled_wh, 0)
        sums = np.concatenate([[0], np.cumsum(worth)])
        cells = bounds - bounds[0]
        return np.diff(sums[cells[:: self.zones]])

    def prices_of(self, result: ZonalResult) -> Ints:
        """Competitive prices of every cell, also where nothing trades, inside the band."""
        return np.clip((result.low_ticks + result.high_ticks) >> 1, self.floor, self.cap)

    def put(self, taken: Accepted, sign: int) -> None:
        """Adds (or takes away) a block's firm quantities."""
        wh = taken.block.wh(taken.milli)
        side = 0 if taken.block.profile_wh[0] > 0 else 1
        self.firm[side, taken.start : taken.start + len(wh), taken.block.zone] += sign * np.abs(wh)

    def again(self, a: int, b: int) -> tuple[ZonalResult, Ints, bool]:
        """The slots a..b cleared once more, their welfare, and whether the firm quantities found a place."""
        result = self._clear(a, b)
        bounds = self.starts[a * self.zones : b * self.zones + 1] - self.starts[a * self.zones]
        firm = np.concatenate([bounds[:-1], bounds[:-1] + 1])
        served = result.filled_wh[firm] == self.wh[firm + self.starts[a * self.zones]]
        return result, self._welfare(a, b, result), bool(served.all())

    def keep(self, a: int, b: int, result: ZonalResult, welfare: Ints) -> None:
        """Makes a trial of slots a..b the standing result."""
        bounds = self.starts[[a * self.zones, b * self.zones]]
        self.result.filled_wh[bounds[0] : bounds[1]] = result.filled_wh
        for name in ("price_ticks", "low_ticks", "high_ticks", "bought_wh", "sold_wh", "flow_wh"):
            getattr(self.result, name)[a:b] = getattr(result, name)
        self.welfare[a:b] = welfare


def gain(block: Block, start: int, milli: int, price_ticks: Ints) -> int:
    """What a block gains at these prices, tick Wh."""
    wh = block.wh(milli)
    at = price_ticks[start : start + len(wh), block.zone]
    return int((wh * (block.limit_ticks - at)).sum())


def clear_with_blocks(
    orders: Orders, starts: Ints, grid: Grid, blocks: Sequence[Block], band: Band | None = None
) -> BlockResult:
    """Clears a day of stepwise orders and blocks; see the module for the rule."""
    band = band or Band()
    day = _Day(orders, starts, grid, band)
    table = check_blocks(blocks, day.slots, grid.zones, band)
    children: dict[str, list[Block]] = {name: [] for name in table}
    for block in table.values():
        if block.parent:
            children[block.parent].append(block)
    taken: dict[str, Accepted] = {}
    for _ in range(MAX_PASSES):
        prices = day.prices_of(day.result)
        trials = [t for block in table.values() if block.id not in taken
                  for t in _trials(block, children, taken, prices)]  # fmt: skip
        trials.sort(key=lambda t: (-t[0], t[1][0].block.id, t[1][0].start))
        changed = False
        for _, family in trials:
            if not any(t.block.id in taken for t in family):
                changed |= _try(day, taken, family)
        if not changed:
            break
    zonal = replace(day.result, filled_wh=day.result.filled_wh[day.own])
    return BlockResult(zonal, taken, day.prices_of(day.result))


def _trials(
    block: Block, children: dict[str, list[Block]], taken: dict[str, Accepted], prices: Ints
) -> list[tuple[float, list[Accepted]]]:
    """What to try for a block: its best starts alone, and with its children where it loses alone."""
    if block.parent and block.parent not in taken:
        return []
    most = taken[block.parent].milli if block.parent else WHOLE
    if most < block.min_accept_milli:
        return []
    volume = sum(abs(q) for q in block.profile_wh)
    best = sorted((-gain(block, s, most, prices) / volume, s) for s in block.starts)[:STARTS_TRIED]
    trials: list[tuple[float, list[Accepted]]] = []
    for loss, start in best:
        family = [Accepted(block, start, most)]
        if loss >= 0 and children[block.id]:
            helpers = [Accepted(c, c.first_slot, most) for c in children[block.id] if c.latest_start is None]
            helpers = [h for h in helpers if gain(h.block, h.start, most, prices) > 0]
            loss -= sum(gain(h.block, h.start, most, prices) for h in helpers) / volume
            family += helpers
        if loss < 0:
            trials.append((-loss, family))
    return trials


def _try(day: _Day, taken: dict[str, Accepted], family: list[Accepted]) -> bool:
    """Takes a family at the largest share of a short bisection that everybody can live with."""
    least = max(t.block.min_accept_milli for t in family)
    milli = family[0].milli
    for _ in range(5):
        tried = [replace(t, milli=milli) for t in family]
        if _stands(day, taken, tried):
            return True
        if milli == least:
            return False
        milli = max(least, (milli + least) // 2) if milli - least > 8 else least
    return _stands(day, taken, [replace(t, milli=least) for t in family])


def _stands(day: _Day, taken: dict[str, Accepted], tried: list[Accepted]) -> bool:
    a = min(t.start for t in tried)
    b = max(t.start + len(t.block.profile_wh) for t in tried)
    for t in tried:
        day.put(t, 1)
    result, welfare, served = day.again(a, b)
    prices = day.prices_of(day.result)
    prices[a:b] = day.prices_of(result)
    everybody = taken | {t.block.id: t for t in tried}
    before = int(day.welfare[a:b].sum())
    own = sum(int(t.block.wh(t.milli).sum()) * t.block.limit_ticks for t in tried)
    if served and int(welfare.sum()) + own >= before and not losers(everybody, prices):
        day.keep(a, b, result, welfare)
        taken.update({t.block.id: t for t in tried})
        return True
    for t in tried:
        day.put(t, -1)
    day.again(a, b)
    return False


def losers(taken: dict[str, Accepted], price_ticks: Ints) -> list[str]:
    """Blocks that lose money at these prices, their accepted descendants' gains counted in."""
    gains = {name: gain(t.block, t.start, t.milli, price_ticks) for name, t in taken.items()}
    total = dict(gains)
    for name, t in taken.items():
        parent = t.block.parent
        while parent in total:
            total[parent] += max(gains[name], 0)
            parent = taken[parent].block.parent
    is_parent = {t.block.parent for t in taken.values()}
    return [name for name in taken if (total[name] if name in is_parent else gains[name]) < 0]
