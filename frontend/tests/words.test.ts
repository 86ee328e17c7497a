import { describe, expect, test } from "vitest";
import * as format from "../src/format";
import { en } from "../src/i18n/en";
import { zh } from "../src/i18n/zh";
import { marketOffset, timesOf } from "../src/time";

type Tree = { [key: string]: unknown };

function shape(tree: Tree, at = ""): string[] {
  return Object.entries(tree).flatMap(([key, value]) =>
    typeof value === "object" && value !== null
      ? shape(value as Tree, `${at}${key}.`)
      : [`${at}${key}:${typeof value === "function" ? `function ${value.length}` : typeof value}`],
  );
}

describe("catalogues", () => {
  test("both languages say the same things", () => {
    const functions = (paths: string[]) => paths.map((path) => path.replace(/function \d+$/, "function"));
    expect(functions(shape(zh)).sort()).toEqual(functions(shape(en)).sort());
  });
  test("no text is empty, none of the Chinese ones is left in English", () => {
    const same: string[] = [];
    const walk = (a: Tree, b: Tree, path: string) => {
      for (const key of Object.keys(a)) {
        if (typeof a[key] === "object") walk(a[key] as Tree, b[key] as Tree, `${path}${key}.`);
        else if (typeof a[key] === "string" && a[key] === b[key] && /[a-z]{4}/.test(a[key])) same.push(path + key);
      }
    };
    walk(en, zh, "");
    expect(same).toEqual([]);
  });
});

describe("numbers", () => {
  test.each([
    [0, "0.00"],
    [1_500_000, "1.50"],
    [1234, "0.001234"],
    [12_345, "0.0123"],
    [-2_000_000, "-2.00"],
    [123_456_789_000, "123,456.79"],
  ])("%d micro is %s", (micro, words) => expect(format.money(micro, "en")).toBe(words));
  test("energy and carbon choose their unit", () => {
    expect(format.energy(0, "en")).toBe("0 Wh");
    expect(format.energy(1_234_000, "en")).toBe("1.23 MWh");
    expect(format.energy(999, "en")).toBe("999 Wh");
    expect(format.grams(12_500, "en")).toBe("12.5 kg");
    expect(format.share(9_530, "en")).toBe("95.3%");
  });
  test.each([
    ["1.5", 1.5],
    ["1,5", 1.5],
    ["1 234,5", 1234.5],
    ["1.234,5", 1234.5],
    ["1,234.5", 1234.5],
    ["1'234'567", 1_234_567],
    ["1,234,567", 1_234_567],
    [",5", 0.5],
    ["7", 7],
  ])("%s is read as %d", (text, value) => expect(format.parseDecimal(text)).toBe(value));
  test.each(["", "-1", "1e9", "0x10", "1.2.3", "1,23,4", "abc", ".", "1..2", "<b>"])("%s is no number", (text) =>
    expect(format.parseDecimal(text)).toBeNull());
});

describe("times", () => {
  test("the market's clock reads 00:00 at its batch start", () => {
    for (const start of [1_508_191_200, 1_508_198_400, 1_462_291_200]) {
      const offset = marketOffset(start);
      expect(timesOf("en", "market", offset).hour(start)).toBe("00:00");
      expect(Math.abs(offset)).toBeLessThanOrEqual(14 * 3600);
    }
    expect(marketOffset(1_508_191_200)).toBe(7200);
  });
  test("zones have names", () => {
    expect(timesOf("en", "market", 19_800).zone(0)).toBe("UTC+5:30");
    expect(timesOf("en", "market", -7200).zone(0)).toBe("UTC−2");
    expect(timesOf("en", "utc", 7200).zone(0)).toBe("UTC");
    expect(timesOf("en", "utc", 7200).hour(3600)).toBe("01:00");
  });
  test("days are spelled in the language", () => {
    expect(timesOf("en", "utc", 0).day(0)).toMatch(/Thu/);
    expect(timesOf("zh", "utc", 0).day(0)).toMatch(/周四/);
  });
});
