/** Numbers for people. Money arrives in micro-units, energy in Wh, carbon in g: integers all the way to here. */
export type Locale = "en" | "zh";

const number = (locale: Locale, digits: number, least = 0) =>
  new Intl.NumberFormat(locale === "zh" ? "zh-CN" : "en-GB", {
    maximumFractionDigits: digits,
    minimumFractionDigits: least,
  });

/** Units of the settlement token; small amounts keep more digits. */
export function money(micro: number | bigint, locale: Locale): string {
  const value = Number(micro) / 1e6;
  const size = Math.abs(value);
  return number(locale, size === 0 || size >= 1 ? 2 : size >= 0.01 ? 4 : 6, 2).format(value);
}

export function whole(value: number | bigint, locale: Locale): string {
  return number(locale, 0).format(value);
}

export function decimal(value: number, locale: Locale, digits = 1): string {
  return number(locale, digits).format(value);
}

function scaled(value: number, locale: Locale, units: readonly [number, string][]): string {
  const size = Math.abs(value);
  const [factor, unit] = units.find(([least]) => size >= least) ?? units[units.length - 1]!;
  const shown = value / factor;
  return `${number(locale, Math.abs(shown) >= 100 ? 0 : Math.abs(shown) >= 10 ? 1 : 2).format(shown)} ${unit}`;
}

export const energy = (wh: number, locale: Locale) =>
  scaled(wh, locale, [
    [1e9, "GWh"],
    [1e6, "MWh"],
    [1e3, "kWh"],
    [1, "Wh"],
  ]);

export const grams = (g: number, locale: Locale) =>
  scaled(g, locale, [
    [1e6, "t"],
    [1e3, "kg"],
    [1, "g"],
  ]);

export const watts = (w: number, locale: Locale) =>
  scaled(w, locale, [
    [1e9, "GW"],
    [1e6, "MW"],
    [1e3, "kW"],
    [1, "W"],
  ]);

/** 1/10000 as per cent. */
export function share(bps: number, locale: Locale): string {
  return `${number(locale, bps % 100 === 0 ? 0 : 1).format(bps / 100)}%`;
}

/** 0x1234…abcd */
export const short = (hex: string) => (hex.length > 14 ? `${hex.slice(0, 6)}…${hex.slice(-4)}` : hex);

/** A decimal number as people of any locale type it: 1,5 · 1.5 · 1 234,5 · 1,234.5; null when it is none. */
export function parseDecimal(text: string): number | null {
  const bare = text.trim().replace(/[\s\u00a0\u202f'_]/g, "");
  if (!/^[0-9.,]+$/.test(bare) || !/[0-9]/.test(bare)) return null;
  const last = Math.max(bare.lastIndexOf("."), bare.lastIndexOf(","));
  if (last < 0) return Number(bare);
  const mark = bare[last]!;
  const other = mark === "." ? "," : ".";
  const groups = bare.split(mark);
  if (groups.length > 2) {
    const grouped = groups.slice(1).every((group) => group.length === 3) && !bare.includes(other);
    return grouped ? Number(groups.join("")) : null;
  }
  const [head = "", tail = ""] = groups;
  if (tail.includes(other)) return null;
  const heads = head.split(other);
  if (heads.length > 1 && !heads.slice(1).every((group) => group.length === 3)) return null;
  return Number(`${heads.join("") || "0"}.${tail || "0"}`);
}
