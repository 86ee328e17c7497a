/** What a run delivered in one slot and how much of it green power matched: F2, F9 and the delivered part of F15. */
import type { Leaf } from "./reading";

export interface Run {
  chunk_index: number;
  run_index: number;
  site_id: number;
  zone_id: number;
  /** 0 grey, 1 green */
  mode: number;
  lanes: number;
  energy_wh_per_vcu_slot: number;
}

/** What a green plant sold in the slot. */
export interface Sold {
  plant_id: number;
  zone_id: number;
  sold_wh: number;
}

export interface Outcome {
  deliveredMilliLanes: bigint;
  matchedWh: bigint;
}

/** meter id -> site or plant id */
export type Meters = Readonly<Record<string, number>>;

const [GENERATION, IMPORT, IT_ENERGY, COMPUTE, CHARGE, DISCHARGE] = [1n, 2n, 3n, 4n, 5n, 6n];
const GREEN = 1;
const min = (...values: bigint[]) => values.reduce((a, b) => (b < a ? b : a));
const max = (a: bigint, b: bigint) => (a > b ? a : b);

export const agreementId = (batchId: bigint, chunk: number, run: number): bigint =>
  (batchId << 64n) | (BigInt(chunk) << 32n) | BigInt(run);

/** The outcome that the actual readings of [start, end) give a run; `runs` are all runs at its site. */
export function outcomeOf(
  batchId: bigint,
  run: Run,
  runs: readonly Run[],
  plants: readonly Sold[],
  leaves: readonly Leaf[],
  [start, end]: readonly [bigint, bigint],
  sites: Meters,
  plantMeters: Meters,
): Outcome {
  const actual = leaves.filter(({ reading: r, quality }) => !quality && r.start === start && r.end === end);
  const sum = (kind: bigint, belongs: (leaf: Leaf) => boolean) =>
    actual.reduce((all, leaf) => (leaf.reading.kind === kind && belongs(leaf) ? all + leaf.reading.quantity : all), 0n);
  const ofJob = (item: Run) => {
    const id = agreementId(batchId, item.chunk_index, item.run_index);
    return (leaf: Leaf) => BigInt(`0x${[...leaf.reading.agreementId].map(twoDigits).join("")}`) === id;
  };
  const atSite = (leaf: Leaf) => sites[String(leaf.reading.meterId)] === run.site_id;
  const it = sum(IT_ENERGY, ofJob(run));
  const siteIt = runs.reduce((all, item) => all + sum(IT_ENERGY, ofJob(item)), 0n);
  const discharged = sum(DISCHARGE, atSite);
  const used = max(sum(IMPORT, atSite) - sum(CHARGE, atSite) + discharged, siteIt);
  const drawn = max(used - discharged, 0n);
  const energyWh = it ? (it * drawn) / (siteIt * 1000n) : 0n;
  const bought = BigInt(run.lanes * run.energy_wh_per_vcu_slot);
  let [delivered, sold] = [0n, 0n];
  for (const plant of plants.filter((item) => item.zone_id === run.zone_id)) {
    const metered = sum(GENERATION, (leaf) => plantMeters[String(leaf.reading.meterId)] === plant.plant_id) / 1000n;
    delivered += min(BigInt(plant.sold_wh), metered);
    sold += BigInt(plant.sold_wh);
  }
  const covered = sold ? (bought * delivered) / sold : 0n;
  return {
    deliveredMilliLanes: min(1000n * BigInt(run.lanes), sum(COMPUTE, ofJob(run)) / (end - start)),
    matchedWh: run.mode === GREEN ? min(bought, energyWh, covered) : 0n,
  };
}

const twoDigits = (byte: number) => byte.toString(16).padStart(2, "0");
