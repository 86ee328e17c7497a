import { describe, expect, test } from "vitest";
import { energyTag, monthText, unpackId } from "../src/certificates/id";

const ISSUER = "0x3bc0000000000000000000000000000000001a27";
const ID = ((1n << 248n) | (201710n << 224n) | (5n << 208n) | (2n << 200n) | BigInt(ISSUER)).toString();
const step = { certificate_id: ID, at: 1508198400, tx_hash: `0x${"ab".repeat(32)}`, block_number: 1 };

describe("certificate ids", () => {
  test("say what they are", () => {
    expect(unpackId(ID)).toEqual({
      kind: "certificate",
      yearMonth: 201710,
      zoneId: 5,
      source: 2,
      issuer: ISSUER,
    });
    expect(monthText(201710)).toBe("2017-10");
  });

  test.each(["", "0", "12", "-1", "0x1", "9".repeat(79), "<b>"])("%j is none", (text) => {
    expect(unpackId(text)).toBeNull();
  });

  test("EnergyTag bundles number the units one after the other and leave transfers out", () => {
    const events = [
      { ...step, event: "minted" as const, sender: null, receiver: ISSUER, amount: 300 },
      { ...step, event: "transferred" as const, sender: ISSUER, receiver: ISSUER, amount: 10 },
      { ...step, event: "minted" as const, sender: null, receiver: ISSUER, amount: 50 },
      { ...step, event: "retired" as const, sender: ISSUER, receiver: null, amount: 20 },
    ];
    const file = energyTag(ID, events, 31337, ISSUER);
    const ranges = file.granular_certificate_bundles.map((bundle) => [
      bundle.certificate_bundle_id_range_start,
      bundle.certificate_bundle_id_range_end,
      bundle.bundle_quantity,
    ]);
    expect(ranges).toEqual([
      [0, 299, 300],
      [300, 349, 50],
    ]);
    expect(file.granular_certificate_bundles[0]!.production_ending_interval).toBe("2017-11-01T00:00:00.000Z");
    expect(file.retirements).toHaveLength(1);
  });
});
