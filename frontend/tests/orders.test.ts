import { describe, expect, it } from "vitest";
import { marksOf } from "../src/orders/stages";
import { whyOf } from "../src/orders/why";
import { toCsv } from "../src/ui/file";
import { fateOf } from "../src/wallet/activity";

describe("the stage bar", () => {
  const at = (
    stage: "cleared" | "delivering" | "reported" | "settled" | "retired" | "disputed" | "refunded",
    done = 4,
  ) => ({ stage, done, total: 4 }) as const;
  it("shows the whole way from the start", () => {
    const marks = marksOf("open", []);
    expect(marks.map((mark) => mark.stage)).toEqual([
      "open",
      "cleared",
      "delivering",
      "reported",
      "settled",
      "retired",
    ]);
    expect(marks.filter((mark) => mark.now).map((mark) => mark.stage)).toEqual(["open"]);
  });
  it("stands at the furthest stage, a part-way one marked as such", () => {
    const marks = marksOf("delivering", [at("cleared"), at("delivering", 3), at("reported", 1)]);
    expect(marks.find((mark) => mark.now)?.stage).toBe("reported");
    expect(marks.find((mark) => mark.stage === "reported")?.tone).toBe("part");
    expect(marks.find((mark) => mark.stage === "settled")?.tone).toBe("");
  });
  it("puts a dispute before the settlement and a refund after it", () => {
    const names = marksOf("settled", [at("cleared"), at("disputed", 1), at("settled", 3), at("refunded", 1)]).map(
      (mark) => mark.stage,
    );
    expect(names.indexOf("disputed")).toBe(names.indexOf("settled") - 1);
    expect(names.indexOf("refunded")).toBe(names.indexOf("settled") + 1);
  });
  it.each(["cancelled", "expired"] as const)("ends with %s", (state) => {
    expect(marksOf(state, []).map((mark) => mark.stage)).toEqual(["open", state]);
    expect(marksOf(state, []).at(-1)).toMatchObject({ tone: "bad", now: true });
  });
});

describe("why an order was filled there", () => {
  const order = {
    class_id: 0,
    zones: [0, 1],
    lanes: 2,
    lanes_filled: 2,
    duration_slots: 2,
    start: 1000,
    deadline: 1000 + 4 * 900,
    min_green_bps: 0,
    max_carbon: 4294967295,
  };
  const prices = {
    start: 1000,
    slot_seconds: 900,
    compute_price: [
      [
        [
          [9, 8, 3, 4],
          [20, null, 2, 5],
        ],
        [
          [5, 5, 5, 5],
          [null, null, null, 6],
        ],
      ],
    ],
    grid_carbon: [
      [100, 100, 100, 700],
      [100, 100, 100, 100],
    ],
  };
  const run = (start_slot: number, mode: number, zone_id = 0) => ({
    zone_id,
    mode,
    start_slot,
    end_slot: start_slot + 1,
    lanes: 2,
  });
  it("finds nothing better than the cheapest slots of the cheapest zone", () => {
    const why = whyOf(order, prices, [run(2, 1), run(3, 0)]);
    expect([why.cost, why.best]).toEqual([12, 12]);
    expect(why.zones.map((zone) => zone.cost)).toEqual([12, 20]);
    expect(why.atOnce).toBe(20);
    expect(why.zones[0]!.cells.map((cell) => cell.taken)).toEqual([0, 0, 2, 2]);
  });
  it("counts only green slots for green lanes, and rules out what emits too much", () => {
    const green = whyOf({ ...order, min_green_bps: 10_000 }, prices, [run(2, 1), run(3, 1)]);
    expect(green.zones.map((zone) => zone.cost)).toEqual([14, null]);
    const capped = whyOf({ ...order, max_carbon: 500 }, prices, []);
    expect(capped.zones[0]!.cells[3]!.price).toBe(5);
  });
  it("names no cost for an order that got nothing", () => {
    const none = whyOf({ ...order, lanes_filled: 0 }, prices, []);
    expect([none.cost, none.best, none.atOnce]).toEqual([0, null, null]);
  });
});

describe("a transaction's fate", () => {
  const look = { receipt: null, known: true, mined: 3, nonce: 3, unseen: 0 };
  it("is what the receipt says", () => {
    expect(fateOf({ ...look, receipt: { status: "0x1" } })).toBe("done");
    expect(fateOf({ ...look, receipt: { status: "0x0" } })).toBe("failed");
  });
  it("is replaced when another one took its nonce, dropped when the node forgot it for good", () => {
    expect(fateOf(look)).toBe("pending");
    expect(fateOf({ ...look, known: false, mined: 4, unseen: 1 })).toBe("replaced");
    expect(fateOf({ ...look, known: false, unseen: 1 })).toBe("pending");
    expect(fateOf({ ...look, known: false, unseen: 5 })).toBe("dropped");
    expect(fateOf({ ...look, mined: 4 })).toBe("pending");
  });
});

describe("CSV", () => {
  it("quotes what must be quoted and keeps formulas as text", () => {
    expect(toCsv([["a", 'say "x", y', "=1+1", 5, null]])).toBe('a,"say ""x"", y",\'=1+1,5,\r\n');
  });
});
