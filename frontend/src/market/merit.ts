/** Merit order of one slot as rectangles. Pure. */
import type { Schemas } from "../api/client";

export interface Block {
  from: number;
  to: number;
  price: number;
  /** 0 grid, 1 pv, 2 wind ...; null for compute */
  source: number | null;
  /** how far of it was sold, on the same axis */
  soldTo: number;
}

export interface Merit {
  blocks: Block[];
  demand: { from: number; to: number; price: number }[];
  end: number;
  low: number;
  high: number;
  sold: number;
}

type Step = Schemas["StepOut"];

/** Steps side by side. The last supplier (the grid) can be endless, so the axis ends a little after what matters. */
export function meritOf(supply: readonly Step[], demand: readonly Step[], prices: readonly number[]): Merit {
  const sorted = [...supply].sort((a, b) => a.price - b.price);
  const finite = sorted.filter((step) => step.source !== 0).reduce((sum, step) => sum + step.quantity, 0);
  const soldGrid = sorted.filter((step) => step.source === 0).reduce((sum, step) => sum + (step.sold ?? 0), 0);
  const wanted = demand.reduce((sum, step) => sum + step.quantity, 0);
  const offered = sorted.reduce((sum, step) => sum + step.quantity, 0);
  const end = Math.min(Math.max(offered, wanted), Math.max((finite + soldGrid) * 1.2, wanted * 1.05, 1));
  const blocks: Block[] = [];
  let at = 0;
  for (const step of sorted) {
    if (at >= end) break;
    const to = Math.min(at + step.quantity, end);
    if (to > at)
      blocks.push({
        from: at,
        to,
        price: step.price,
        source: step.source ?? null,
        soldTo: Math.min(at + (step.sold ?? 0), to),
      });
    at += step.quantity;
  }
  const asked: Merit["demand"] = [];
  at = 0;
  for (const step of [...demand].sort((a, b) => b.price - a.price)) {
    const last = asked.at(-1);
    if (last && last.price === step.price) last.to = at + step.quantity;
    else asked.push({ from: at, to: at + step.quantity, price: step.price });
    at += step.quantity;
  }
  const all = [...blocks.map((b) => b.price), ...asked.map((d) => d.price), ...prices.filter(sellable)];
  return {
    blocks,
    demand: asked,
    end,
    low: Math.min(0, ...all),
    high: Math.max(1, ...all),
    sold: sorted.reduce((sum, step) => sum + (step.sold ?? 0), 0),
  };
}

/** The price of a cell that nobody sells is the greatest uint32. */
export const sellable = (price: number) => price < 0xffffffff;
