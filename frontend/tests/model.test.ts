import { describe, expect, test } from "vitest";
import type { Schemas } from "../src/api/client";
import { meritOf, sellable } from "../src/market/merit";
import * as model from "../src/market/model";
import { neededFor, type Obstacle, obstacleOf, type Situation, suggestedLimit } from "../src/orders/obstacle";
import { stepPath, ticks } from "../src/ui/chart";

const zone = (
  zone_id: number,
  slots: number,
  green: number,
  price: number | null,
  sold = 100,
): Schemas["CalendarZone"] => {
  const all = <T>(value: T) => Array.from({ length: slots }, () => value);
  return {
    zone_id,
    green_share_bps: all(green),
    carbon_g_per_kwh: all(500 - green / 100),
    grid_carbon_g_per_kwh: all(500),
    compute_price_grey: all(price),
    compute_price_green: all(price === null ? null : price + 1),
    energy_price_grey: all(0),
    energy_price_green: all(0),
    green_offered_wh: all(green),
    green_sold_wh: all((sold * green) / 10_000),
    energy_sold_wh: all(sold),
  };
};
const calendar = (slots: number, days: Schemas["CalendarDay"][]): Schemas["Calendar"] => ({
  class_id: 0,
  slot_seconds: 900,
  slots,
  days,
});

describe("rows of the calendar", () => {
  const zones = [zone(0, 96, 2000, 70, 300), zone(1, 96, 9000, null, 100)];
  const one = calendar(96, [{ start: 0, basis: "cleared", batch_id: 1, zones }]);
  test("one zone, or the best of all", () => {
    expect(model.rowsOf(one, 0)[0]!.green[5]).toBe(2000);
    expect(model.rowsOf(one, null)[0]!.green[5]).toBe(3750);
    expect(model.rowsOf(one, null)[0]!.price[5]).toBe(70);
    expect(model.rowsOf(one, 1)[0]!.price[5]).toBeNull();
    expect(model.rowsOf(one, null)[0]!.carbon[5]).toBe(410);
  });
  test("a batch of two days gives two rows; the cleared one wins over a forecast of the same time", () => {
    const long = [zone(0, 192, 100, 5)];
    const rows = model.rowsOf(
      calendar(192, [
        { start: 86_400, basis: "forecast", batch_id: 1, zones: long },
        { start: 0, basis: "cleared", batch_id: 1, zones: long },
      ]),
      null,
    );
    expect(rows.map((row) => [row.start, row.firstSlot, row.basis])).toEqual([
      [0, 0, "cleared"],
      [86_400, 96, "cleared"],
      [172_800, 96, "forecast"],
    ]);
  });
  test("where nothing was sold, green power on offer counts as green", () => {
    const idle = (green: number) =>
      model.rowsOf(calendar(4, [{ start: 0, basis: "cleared", batch_id: 1, zones: [zone(0, 4, green, 5, 0)] }]), null);
    expect(idle(1)[0]!.green[0]).toBe(10_000);
    expect(idle(0)[0]!.green[0]).toBe(0);
  });
  test("a day without prices is told apart", () => {
    const [row] = model.rowsOf(calendar(4, [{ start: 0, basis: "none", batch_id: null, zones: [] }]), null);
    expect(row!.basis).toBe("none");
    expect(model.rangeOf([row!], "price")).toBeNull();
  });
  test("levels", () => {
    expect(model.levelOf(5000, "green", [4000, 6000])).toBe(0.5);
    expect(model.levelOf(6, "price", [2, 10])).toBe(0.5);
    expect(model.levelOf(6, "price", [6, 6])).toBe(0.5);
  });
});

describe("the window", () => {
  const window = { day: 1, from: 10, to: 14 };
  test("from a drag in either direction, kept inside the day", () => {
    expect(model.span(2, 9, 5, 96)).toEqual({ day: 2, from: 5, to: 10 });
    expect(model.span(2, -3, 200, 96)).toEqual({ day: 2, from: 0, to: 96 });
  });
  test("an edge never passes the other", () => {
    expect(model.moveEdge(window, "from", 9, 96).from).toBe(13);
    expect(model.moveEdge(window, "to", -9, 96).to).toBe(11);
    expect(model.moveEdge(window, "to", 900, 96).to).toBe(96);
  });
  test("moves as a whole without shrinking", () => {
    expect(model.moveWhole(window, 900, 9, 96, 7)).toEqual({ day: 6, from: 92, to: 96 });
    expect(model.moveWhole(window, -900, -9, 96, 7)).toEqual({ day: 0, from: 0, to: 4 });
  });
  test("the best one is the greatest sum, and the first of equals", () => {
    const row: model.Row = {
      start: 0,
      firstSlot: 0,
      basis: "cleared",
      batchId: 1,
      green: [1, 5, 5, 1, 9],
      price: [1, 1, 1, null, 1],
      carbon: [],
    };
    expect(model.bestWindow([row], 2, (at, slot) => at.green[slot]!)).toEqual({ day: 0, from: 1, to: 3 });
    expect(model.bestWindow([row], 2, (at, slot) => at.price[slot] ?? null)).toEqual({ day: 0, from: 0, to: 2 });
    expect(model.bestWindow([row], 9, () => 1)).toBeNull();
  });
});

describe("the URL", () => {
  test("comes back as it was", () => {
    const state: model.MarketState = {
      classId: 2,
      zone: 0,
      metric: "carbon",
      day: 1_508_191_200,
      from: 3,
      to: 7,
      lanes: 12,
      run: 2,
      greenBps: 0,
    };
    expect(model.readState(model.writeState(state), 96)).toEqual(state);
    expect(model.readState(model.writeState(model.DEFAULT_STATE), 96)).toEqual(model.DEFAULT_STATE);
    expect(model.writeState(model.DEFAULT_STATE)).toBe("");
  });
  test.each([
    "from=900",
    "to=-1",
    "vcu=0",
    "vcu=1e9",
    "show=<b>",
    "day=x",
    "green=99999",
    "class=a&zone=99",
  ])("%s falls back", (search) => expect(model.readState(search, 96)).toEqual(model.DEFAULT_STATE));
  test("the window of a short batch stays inside it", () => {
    const { from, to } = model.readState("", 10);
    expect(from).toBeLessThan(to);
    expect(to).toBeLessThanOrEqual(10);
  });
  test("the bundle never runs longer than its window", () => {
    const ask = model.askOf({ ...model.DEFAULT_STATE, from: 4, to: 6, run: 9 }, 1000, 900);
    expect(ask).toMatchObject({ duration_slots: 2, start: 4600, deadline: 6400, zones: null });
  });
});

describe("merit order", () => {
  test("sorted by price; the endless grid is cut a little after what was sold", () => {
    const merit = meritOf(
      [
        { price: 90, quantity: 1_000_000, source: 0, sold: 10 },
        { price: 20, quantity: 100, source: 1, sold: 100 },
        { price: 30, quantity: 50, source: 2, sold: 20 },
      ],
      [],
      [],
    );
    expect(merit.blocks.map((block) => block.source)).toEqual([1, 2, 0]);
    expect(merit.end).toBeCloseTo(192);
    expect(merit.blocks[1]).toMatchObject({ from: 100, to: 150, soldTo: 120 });
    expect(merit.sold).toBe(130);
  });
  test("demand falls, equal limits are one step", () => {
    const { demand } = meritOf(
      [],
      [1, 5, 5].map((price) => ({ price, quantity: 2 })),
      [],
    );
    expect(demand).toEqual([
      { from: 0, to: 4, price: 5 },
      { from: 4, to: 6, price: 1 },
    ]);
  });
  test("a cell that nobody sells has no price", () => expect(sellable(0xffffffff)).toBe(false));
});

describe("the one button", () => {
  const ready: Situation = {
    now: 0,
    deadline: 10,
    feasible: true,
    connected: true,
    walletChain: 1,
    chain: 1,
    signedIn: true,
    limit: 5,
    price: 5,
    needed: 100n,
    available: 100n,
    inWallet: 0n,
    approved: 0n,
  };
  const cases: [Obstacle, Partial<Situation>][] = [
    ["ready", {}],
    ["closed", { now: 10 }],
    ["infeasible", { feasible: false, connected: false }],
    ["connect", { connected: false, signedIn: false }],
    ["wrong-chain", { walletChain: 5, signedIn: false }],
    ["sign-in", { signedIn: false, limit: 1 }],
    ["below-market", { limit: 4, available: 0n }],
    ["no-funds", { available: 99n }],
    ["approve", { available: 90n, inWallet: 10n, approved: 9n }],
    ["deposit", { available: 90n, inWallet: 10n, approved: 10n }],
  ];
  test.each(cases)("%s", (name, part) => expect(obstacleOf({ ...ready, ...part })).toBe(name));
  test("needs the limit in every VCU-slot, beyond 2^53 too", () => {
    expect(neededFor(2 ** 40, 65_535, 65_535)).toBe(2n ** 40n * 65_535n * 65_535n);
  });
  test("the suggested limit is never below the price", () => {
    for (const price of [0, 1, 7, 99_999]) expect(suggestedLimit(price)).toBeGreaterThanOrEqual(price);
  });
});

describe("charts", () => {
  test("ticks are round and inside", () => {
    expect(ticks(0, 1)).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(ticks(-30, 90)).toEqual([0, 50]);
    expect(ticks(-100, 100)).toEqual([-100, -50, 0, 50, 100]);
    expect(ticks(5, 5)).toEqual([5]);
  });
  test("a gap in the numbers is a gap in the line", () => {
    const path = stepPath(
      [1, null, 2],
      (i) => i,
      (v) => v,
    );
    expect(path).toBe("M0.00 1.00H1.00M2.00 2.00H3.00");
  });
});
