/** The fairness certificate of one order, from the public price table: what its lanes cost, and what every other
 * choice inside its window would have cost at the same prices. Pure. */
import type { Schemas } from "../api/client";

type Order = Pick<
  Schemas["OrderOut"],
  | "class_id"
  | "zones"
  | "lanes"
  | "duration_slots"
  | "start"
  | "deadline"
  | "min_green_bps"
  | "max_carbon"
  | "lanes_filled"
>;
type Prices = Pick<Schemas["PricesOut"], "start" | "slot_seconds" | "compute_price" | "grid_carbon">;
type Run = Pick<Schemas["AgreementOut"], "zone_id" | "mode" | "start_slot" | "end_slot" | "lanes">;

export interface Cell {
  slot: number;
  /** micro-units per VCU-slot of the cheaper mode it may use; null: not for sale, or too carbon-heavy */
  price: number | null;
  green: boolean;
  /** VCU that run there */
  taken: number;
}

export interface ZoneChoice {
  zone: number;
  cells: Cell[];
  /** what the filled lanes would have cost had all gone to this zone; null: it cannot carry them */
  cost: number | null;
}

export interface Why {
  zones: ZoneChoice[];
  /** what its lanes cost at the cleared prices */
  cost: number;
  /** the least that any choice would have cost */
  best: number | null;
  /** starting at once instead of waiting */
  atOnce: number | null;
}

/** Sum of the `count` smallest; null when there are fewer. */
function cheapest(prices: readonly (number | null)[], count: number): number | null {
  const known = prices.filter((price) => price !== null).sort((a, b) => a - b);
  return known.length < count ? null : known.slice(0, count).reduce((sum, price) => sum + price, 0);
}

const firstOf = (prices: readonly (number | null)[], count: number): number | null => {
  const known = prices.filter((price) => price !== null);
  return known.length < count ? null : known.slice(0, count).reduce((sum, price) => sum + price, 0);
};

export function whyOf(order: Order, prices: Prices, runs: readonly Run[]): Why {
  const table = prices.compute_price[order.class_id] ?? [];
  const slots = table[0]?.[0]?.length ?? 0;
  const from = Math.max(0, Math.round((order.start - prices.start) / prices.slot_seconds));
  const to = Math.min(slots, Math.round((order.deadline - prices.start) / prices.slot_seconds));
  const lanes = order.lanes_filled;
  const greenLanes = Math.min(lanes, Math.ceil((order.min_green_bps * lanes) / 10_000));
  const combine = (pick: typeof cheapest, any: (number | null)[], green: (number | null)[]): number | null => {
    const [free, strict] = [pick(any, order.duration_slots), pick(green, order.duration_slots)];
    if ((lanes > greenLanes && free === null) || (greenLanes > 0 && strict === null)) return null;
    return (lanes - greenLanes) * (free ?? 0) + greenLanes * (strict ?? 0);
  };
  const least = (costs: (number | null)[]) => {
    const known = costs.filter((cost) => cost !== null);
    return known.length ? Math.min(...known) : null;
  };
  const atOnce: (number | null)[] = [];
  const zones = order.zones
    .filter((zone) => table[zone])
    .map((zone) => {
      const [grey, green] = table[zone]!;
      const window = Array.from({ length: Math.max(to - from, 0) }, (_, k) => from + k);
      const greens = window.map((slot) => green![slot] ?? null);
      const any = window.map((slot, k) => {
        const usable = (prices.grid_carbon[zone]?.[slot] ?? 0) <= order.max_carbon ? (grey![slot] ?? null) : null;
        return usable === null ? greens[k]! : greens[k] === null ? usable : Math.min(usable, greens[k]!);
      });
      const cells = window.map((slot, k) => ({
        slot,
        price: greenLanes === lanes ? greens[k]! : any[k]!,
        green: greens[k] !== null && (greenLanes === lanes || greens[k] === any[k]),
        taken: runs
          .filter((run) => run.zone_id === zone && run.start_slot <= slot && slot < run.end_slot)
          .reduce((sum, run) => sum + run.lanes, 0),
      }));
      atOnce.push(combine(firstOf, any, greens));
      return { zone, cells, cost: lanes ? combine(cheapest, any, greens) : null };
    });
  const cost = runs.reduce((sum, run) => {
    for (let slot = run.start_slot; slot < run.end_slot; slot++)
      sum += (table[run.zone_id]?.[run.mode]?.[slot] ?? 0) * run.lanes;
    return sum;
  }, 0);
  return { zones, cost, best: least(zones.map((zone) => zone.cost)), atOnce: lanes ? least(atOnce) : null };
}
