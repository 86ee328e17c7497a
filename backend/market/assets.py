"""The other participants of a book: flexibility, storage and lines; and what earlier batches left committed.

All of them trade energy in the pools of (zone, mode, slot), in Wh at prices per kWh. A slot can be shared in
time, so that a device which can do two things does each for a part of it: u / most u + d / most d <= 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
BPS = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Flexibility:
    """A VPP's band in a zone, per slot: *shed* sells Wh into the grey pool, *raise* buys green Wh.

    Shed costs at least `shed_ask_micro_per_kwh[t]`; raise pays at most `raise_bid_micro_per_kwh[t]`, which is
    negative for a load that wants money to rise. Both bands together are a *follow* resource.
    """

    id: str
    resource_id: int
    zone_id: int
    shed_wh: Ints
    shed_ask_micro_per_kwh: Ints
    raise_wh: Ints
    raise_bid_micro_per_kwh: Ints

    def __post_init__(self) -> None:
        for name in ("shed_wh", "shed_ask_micro_per_kwh", "raise_wh", "raise_bid_micro_per_kwh"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    @property
    def kind(self) -> str:
        """shed, raise, follow (both), or idle (neither)."""
        sheds, raises = bool(self.shed_wh.any()), bool(self.raise_wh.any())
        return "follow" if sheds and raises else "shed" if sheds else "raise" if raises else "idle"


@dataclass(frozen=True, slots=True)
class Storage:
    """A battery in one pool (zone, mode): buys Wh to charge, sells Wh when it discharges.

    `energy_wh` counts what it can give back: charging c Wh stores c x efficiency_bps / 10000. It begins with
    `initial_wh` and ends with at least `final_wh`. Each kWh discharged costs `wear_micro_per_kwh`.
    """

    id: str
    resource_id: int
    zone_id: int
    mode: int
    charge_wh: int
    discharge_wh: int
    energy_wh: int
    initial_wh: int
    final_wh: int
    efficiency_bps: int
    wear_micro_per_kwh: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One direction of a line between the pools of two zones in one mode: `capacity_wh[t]` Wh may be sent.

    Of f Wh sent, floor(f x (10000 - loss_bps) / 10000) arrive; each kWh sent costs `fee_micro_per_kwh`.
    """

    id: str
    line_id: int
    from_zone_id: int
    to_zone_id: int
    mode: int
    capacity_wh: Ints
    loss_bps: int = 0
    fee_micro_per_kwh: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "capacity_wh", frozen(self.capacity_wh))


@dataclass(frozen=True, slots=True)
class ComputePosition:
    """Lanes of a site that an earlier batch sold, with their energy: they are fixed, not for this batch.

    Where `resale_ask_micro_per_vcu_slot` is given the holder sells them back, slot by slot and all in, in the
    mode they were bought in; whoever buys them needs no energy from the pools.
    """

    id: str
    offer_id: str
    mode: int
    start_slot: int
    end_slot: int
    lanes: int
    resale_ask_micro_per_vcu_slot: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PowerPosition:
    """Wh per slot of a plant that an earlier batch sold: its cheapest tranches are spent first."""

    id: str
    offer_id: str
    wh: Ints

    def __post_init__(self) -> None:
        object.__setattr__(self, "wh", frozen(self.wh))


@dataclass(frozen=True, slots=True, eq=False)
class Assets:
    """Flexibility, storage and lines of a book, each sorted by id."""

    flexibilities: tuple[Flexibility, ...] = ()
    storages: tuple[Storage, ...] = ()
    lines: tuple[Line, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.flexibilities or self.storages or self.lines)

    def sorted_by_id(self) -> Assets:
        """The same assets in canonical order."""
        return Assets(
            tuple(sorted(self.flexibilities, key=lambda a: a.id)),
            tuple(sorted(self.storages, key=lambda a: a.id)),
            tuple(sorted(self.lines, key=lambda a: a.id)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Earlier commitments of a book, each sorted by id."""

    compute: tuple[ComputePosition, ...] = ()
    power: tuple[PowerPosition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.compute or self.power)

    def sorted_by_id(self) -> Positions:
        """The same positions in canonical order."""
        return Positions(
            tuple(sorted(self.compute, key=lambda p: p.id)), tuple(sorted(self.power, key=lambda p: p.id))
        )


@dataclass(frozen=True, slots=True, eq=False)
class Dispatch:
    """What the assets do, Wh by asset and slot, rows in the order of the book."""

    shed: Ints = field(default_factory=lambda: _none())
    raised: Ints = field(default_factory=lambda: _none())
    charge: Ints = field(default_factory=lambda: _none())
    discharge: Ints = field(default_factory=lambda: _none())
    flow: Ints = field(default_factory=lambda: _none())

    @staticmethod
    def idle(assets: Assets, slots: int) -> Dispatch:
        """Nobody moves."""
        flex, store, line = (
            np.zeros((len(rows), slots), dtype=np.int64)
            for rows in (assets.flexibilities, assets.storages, assets.lines)
        )
        return Dispatch(flex, flex.copy(), store, store.copy(), line)


def received(line: Line, sent: Ints) -> Ints:
    """Wh that arrive when `sent` Wh are sent, rounded down."""
    return sent * (BPS - line.loss_bps) // BPS


def net_load(assets: Assets, zones: dict[int, int], dispatch: Dispatch, slots: int) -> Ints:
    """[zone][mode][slot] Wh that the assets take from the pools, less what they give; may be negative."""
    load = np.zeros((len(zones), 2, slots), dtype=np.int64)
    for n, flex in enumerate(assets.flexibilities):
        load[zones[flex.zone_id], 0] -= dispatch.shed[n]
        load[zones[flex.zone_id], 1] += dispatch.raised[n]
    for n, store in enumerate(assets.storages):
        load[zones[store.zone_id], store.mode] += dispatch.charge[n] - dispatch.discharge[n]
    for n, line in enumerate(assets.lines):
        load[zones[line.from_zone_id], line.mode] += dispatch.flow[n]
        load[zones[line.to_zone_id], line.mode] -= received(line, dispatch.flow[n])
    return load


def touched_pools(assets: Assets, zones: dict[int, int]) -> npt.NDArray[np.bool_]:
    """[zone][mode] pools in which an asset can trade."""
    touched = np.zeros((len(zones), 2), dtype=np.bool_)
    for flex in assets.flexibilities:
        touched[zones[flex.zone_id]] |= np.array([flex.shed_wh.any(), flex.raise_wh.any()])
    for store in assets.storages:
        touched[zones[store.zone_id], store.mode] = True
    for line in assets.lines:
        touched[zones[line.from_zone_id], line.mode] = True
        touched[zones[line.to_zone_id], line.mode] = True
    return touched


def frozen(values: npt.ArrayLike) -> Ints:
    """A read-only copy as int64."""
    array = np.array(values)
    if array.dtype.kind not in "iub" and array.size:
        whole = np.array([int(v) if v == v and abs(v) < 2**63 else 0 for v in array.reshape(-1).tolist()])
        if array.dtype.kind not in "fO" or not (whole.reshape(array.shape) == array).all():
            raise ValueError("must be whole numbers that fit 64 bits")
        array = whole.reshape(array.shape)
    array = array.astype(np.int64)
    array.setflags(write=False)
    return array


def _none() -> Ints:
    return np.zeros((0, 0), dtype=np.int64)
