/** The calendar as rows of numbers, and the market page's state in the URL. Pure. */
import type { Schemas } from "../api/client";

export type Metric = "green" | "price" | "carbon";
export const METRICS: readonly Metric[] = ["green", "price", "carbon"];

export interface Row {
  start: number;
  /** index of the row's first slot in its batch */
  firstSlot: number;
  basis: Schemas["CalendarDay"]["basis"];
  batchId: number | null;
  /** 1/10000 */
  green: number[];
  /** micro-units per VCU-slot, all in; null where nobody sells */
  price: (number | null)[];
  /** g/kWh */
  carbon: number[];
}

const least = (values: (number | null)[]) =>
  values.reduce<number | null>(
    (best, value) => (value === null || (best !== null && best <= value) ? best : value),
    null,
  );

/** Slots of one row: 24 hours, or the whole batch when it is shorter. */
export const slotsPerRow = (calendar: Schemas["Calendar"]): number =>
  Math.min(calendar.slots, Math.round(86_400 / calendar.slot_seconds));

/** One row per 24 hours; a batch of several days gives several rows. With `zone` null a slot shows the green share of
 * all zones together, and the least price and carbon among them: an order for any zone can go there. Rows that start at the same time are one row, the cleared one first. */
export function rowsOf(calendar: Schemas["Calendar"], zone: number | null): Row[] {
  const width = slotsPerRow(calendar);
  const found = new Map<number, Row>();
  for (const day of calendar.days) {
    const zones = day.zones.filter((row) => zone === null || row.zone_id === zone);
    for (let firstSlot = 0; firstSlot < calendar.slots; firstSlot += width) {
      const start = day.start + firstSlot * calendar.slot_seconds;
      const known = found.get(start);
      if (known && (known.basis === "cleared" || day.basis !== "cleared")) continue;
      found.set(start, part(day, zones, start, firstSlot, width));
    }
  }
  return [...found.values()].sort((a, b) => a.start - b.start);
}

/** Green share of the energy sold, 1/10000; where nothing was sold, whether there was green power to be had. */
function greenShare(zones: Schemas["CalendarZone"][], slot: number): number {
  const sum = (key: "green_sold_wh" | "energy_sold_wh" | "green_offered_wh") =>
    zones.reduce((total, row) => total + row[key][slot]!, 0);
  const sold = sum("energy_sold_wh");
  if (sold > 0) return Math.floor((sum("green_sold_wh") * 10_000) / sold);
  return sum("green_offered_wh") > 0 ? 10_000 : 0;
}

function part(
  day: Schemas["CalendarDay"],
  zones: Schemas["CalendarZone"][],
  start: number,
  firstSlot: number,
  width: number,
): Row {
  const slots = Array.from({ length: width }, (_, k) => firstSlot + k);
  return {
    start,
    firstSlot,
    basis: zones.length ? day.basis : "none",
    batchId: day.batch_id,
    green: zones.length ? slots.map((t) => greenShare(zones, t)) : [],
    price: slots.map((t) => least(zones.flatMap((row) => [row.compute_price_grey[t]!, row.compute_price_green[t]!]))),
    carbon: zones.length ? slots.map((t) => Math.min(...zones.map((row) => row.carbon_g_per_kwh[t]!))) : [],
  };
}

export const valuesOf = (row: Row, metric: Metric): (number | null)[] => row[metric];

/** Least and greatest number of all rows, null when there is none. */
export function rangeOf(rows: readonly Row[], metric: Metric): [number, number] | null {
  const all = rows.flatMap((row) => valuesOf(row, metric).filter((value) => value !== null));
  return all.length ? [Math.min(...all), Math.max(...all)] : null;
}

/** Where a value stands between least and greatest, 0 to 1; green share always from 0 to 100 %. */
export function levelOf(value: number, metric: Metric, range: [number, number]): number {
  const [low, high] = metric === "green" ? [0, 10_000] : range;
  return high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0.5;
}

// --- the window -------------------------------------------------------------------------------------------
export interface Window {
  /** index of the day's row */
  day: number;
  from: number;
  /** exclusive */
  to: number;
}

const clamp = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high);

/** The window between two slots of one day, whichever was first. */
export function span(day: number, a: number, b: number, slots: number): Window {
  const [low, high] = [clamp(Math.min(a, b), 0, slots - 1), clamp(Math.max(a, b), 0, slots - 1)];
  return { day, from: low, to: high + 1 };
}

/** The window with one edge moved; it keeps at least one slot. */
export function moveEdge(window: Window, edge: "from" | "to", by: number, slots: number): Window {
  return edge === "from"
    ? { ...window, from: clamp(window.from + by, 0, window.to - 1) }
    : { ...window, to: clamp(window.to + by, window.from + 1, slots) };
}

/** The window moved as a whole, in slots and days. */
export function moveWhole(window: Window, bySlots: number, byDays: number, slots: number, days: number): Window {
  const length = window.to - window.from;
  const from = clamp(window.from + bySlots, 0, slots - length);
  return { day: clamp(window.day + byDays, 0, days - 1), from, to: from + length };
}

/** The window of `length` slots with the greatest sum of `score`; the earliest of equals, null without numbers. */
export function bestWindow(rows: readonly Row[], length: number, score: (row: Row, slot: number) => number | null) {
  let best: { window: Window; sum: number } | null = null;
  rows.forEach((row, day) => {
    for (let from = 0; from + length <= row.price.length; from++) {
      let sum = 0;
      for (let slot = from; slot < from + length; slot++) sum += score(row, slot) ?? Number.NEGATIVE_INFINITY;
      if (Number.isFinite(sum) && (!best || sum > best.sum)) best = { window: { day, from, to: from + length }, sum };
    }
  });
  return (best as { window: Window } | null)?.window ?? null;
}

// --- the URL ----------------------------------------------------------------------------------------------
export interface MarketState {
  classId: number;
  zone: number | null;
  metric: Metric;
  /** start of the window's day, unix seconds; null: the first row */
  day: number | null;
  from: number;
  to: number;
  lanes: number;
  /** slots a lane runs; null: the whole window */
  run: number | null;
  greenBps: number;
}

export const DEFAULT_STATE: MarketState = {
  classId: 0,
  zone: null,
  metric: "green",
  day: null,
  from: 40,
  to: 56,
  lanes: 8,
  run: null,
  greenBps: 5000,
};

const integer = (text: string | null, low: number, high: number): number | null => {
  if (text === null || !/^[0-9]{1,12}$/.test(text)) return null;
  const value = Number(text);
  return value >= low && value <= high ? value : null;
};

/** The state in a query string; what is missing or out of range takes the default. */
export function readState(search: string, slots: number): MarketState {
  const query = new URLSearchParams(search);
  const or = <T>(value: T | null, other: T) => value ?? other;
  const from = or(integer(query.get("from"), 0, slots - 1), Math.min(DEFAULT_STATE.from, slots - 1));
  const to = or(integer(query.get("to"), 1, slots), Math.min(DEFAULT_STATE.to, slots));
  const metric = METRICS.find((name) => name === query.get("show")) ?? DEFAULT_STATE.metric;
  return {
    classId: or(integer(query.get("class"), 0, 255), DEFAULT_STATE.classId),
    zone: integer(query.get("zone"), 0, 63),
    metric,
    day: integer(query.get("day"), 0, 2 ** 40),
    from: Math.min(from, to - 1),
    to: Math.max(to, Math.min(from, to - 1) + 1),
    lanes: or(integer(query.get("vcu"), 1, 0xffff), DEFAULT_STATE.lanes),
    run: integer(query.get("run"), 1, slots),
    greenBps: or(integer(query.get("green"), 0, 10_000), DEFAULT_STATE.greenBps),
  };
}

/** The query string of a state; defaults are left out. */
export function writeState(state: MarketState): string {
  const query = new URLSearchParams();
  const put = (name: string, value: number | string | null, without: number | string | null) => {
    if (value !== null && value !== without) query.set(name, String(value));
  };
  put("class", state.classId, DEFAULT_STATE.classId);
  put("zone", state.zone, null);
  put("show", state.metric, DEFAULT_STATE.metric);
  put("day", state.day, null);
  put("from", state.from, DEFAULT_STATE.from);
  put("to", state.to, DEFAULT_STATE.to);
  put("vcu", state.lanes, DEFAULT_STATE.lanes);
  put("run", state.run, null);
  put("green", state.greenBps, DEFAULT_STATE.greenBps);
  return query.toString();
}

/** The bundle that the state asks for. */
export function askOf(state: MarketState, dayStart: number, slotSeconds: number) {
  const slots = state.to - state.from;
  return {
    class_id: state.classId,
    zones: state.zone === null ? null : [state.zone],
    lanes: state.lanes,
    duration_slots: Math.min(state.run ?? slots, slots),
    start: dayStart + state.from * slotSeconds,
    deadline: dayStart + state.to * slotSeconds,
    min_green_bps: state.greenBps,
  };
}
