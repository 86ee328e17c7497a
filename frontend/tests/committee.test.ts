import { expect, test } from "vitest";
import { signedBy } from "../src/grid/committee";

test("a committee's members are counted by their bits", () => {
  const reports = ["7", "11", "13"].map((signer_bitmap) => ({ signer_bitmap }));
  expect(signedBy(reports)).toEqual([3, 2, 2, 2]);
  expect(signedBy([])).toEqual([]);
});
