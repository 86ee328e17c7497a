/** The vectors that Python and Solidity pass: TypeScript must agree bit for bit. */
import { readFileSync } from "node:fs";
import { recoverAddress } from "viem/utils";
import { describe, expect, test } from "vitest";
import { checkPack, messageOf, type Pack, parsePack } from "../src/evidence/pack";
import * as bundle from "../src/wire/bundle";
import { compare, hex, join, keccak256, sha256, unhex } from "../src/wire/bytes";
import { decode, encode } from "../src/wire/cbor";
import { reportData, verifyP256 } from "../src/wire/device";
import { climb, MerkleTree, verify } from "../src/wire/merkle";
import { decodeReading, encodeReading, leafHash, leafWords } from "../src/wire/reading";
import { digest, domainSeparator, type Message, structHash } from "../src/wire/typed";

const vectors = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../tests/vectors/${name}.json`, import.meta.url), "utf8"));

describe("readings", () => {
  for (const [index, row] of vectors("readings").entries()) {
    const reading = decodeReading(unhex(row.payload));
    const leaf = {
      reading,
      quality: reading.quality,
      keyId: unhex(row.key_id),
      evidenceHash: unhex(row.evidence_hash),
      payloadHash: sha256(unhex(row.payload)),
    };
    test(`${index}: fields, payload, leaf`, () => {
      expect(reading.quantity).toBe(BigInt(row.reading.quantity));
      expect(reading.register).toBe(BigInt(row.reading.register));
      expect(reading.seq).toBe(BigInt(row.reading.seq));
      expect(hex(reading.agreementId)).toBe(row.reading.agreement_id);
      expect(hex(encodeReading(reading))).toBe(row.payload);
      expect(hex(leaf.payloadHash)).toBe(row.payload_hash);
      expect(hex(keccak256(join(unhex(row.x), unhex(row.y))))).toBe(row.key_id);
      expect(hex(leafWords(leaf))).toBe(row.leaf_words);
      expect(hex(leafHash(leaf))).toBe(row.leaf);
    });
    test(`${index}: the device signed it, and nothing else`, async () => {
      const [x, y, payload, signature] = [row.x, row.y, row.payload, row.signature].map(unhex);
      expect(await verifyP256(x!, y!, payload!, signature!)).toBe(true);
      const other = encodeReading({ ...reading, quality: reading.quality ^ 1n });
      expect(await verifyP256(x!, y!, other, signature!)).toBe(false);
    });
    test(`${index}: a high s is refused`, async () => {
      const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
      const s = BigInt(`0x${row.signature.slice(66)}`);
      const high = `${row.signature.slice(0, 66)}${(order - s).toString(16).padStart(64, "0")}`;
      expect(await verifyP256(unhex(row.x), unhex(row.y), unhex(row.payload), unhex(high))).toBe(false);
    });
  }
});

describe("merkle", () => {
  for (const row of vectors("merkle")) {
    test(`${row.leaves.length} leaves`, () => {
      const leaves: Uint8Array[] = row.leaves.map(unhex);
      const tree = new MerkleTree(leaves);
      expect(hex(tree.root)).toBe(row.root);
      leaves.forEach((leaf, i) => {
        const proof = tree.proof(leaf);
        expect(proof.map(hex)).toEqual(row.proofs[i]);
        expect(verify(tree.root, proof, leaf)).toBe(true);
        const changed = Uint8Array.from(leaf);
        changed[0]! ^= 1;
        expect(verify(tree.root, proof, changed)).toBe(false);
        expect(climb(leaf, proof)).toHaveLength(proof.length + 1);
      });
    });
  }
  test("the empty root proves nothing", () => {
    expect(verify(new Uint8Array(32), [], new Uint8Array(32))).toBe(false);
  });
  test("one leaf cannot stand twice", () => {
    expect(() => new MerkleTree([new Uint8Array(32), new Uint8Array(32)])).toThrow(/twice/);
  });
});

describe("typed data", () => {
  const file = vectors("typed");
  const separator = domainSeparator(file.chain_id, file.contract);
  for (const kind of ["Report", "Publication", "DeviceAttestation"] as const) {
    const row = file.structs[kind];
    test(kind, async () => {
      expect(hex(separator)).toBe(row.domain_separator);
      const hash = structHash(kind, row.message as Message);
      expect(hex(hash)).toBe(row.struct_hash);
      const signed = digest(separator, hash);
      expect(hex(signed)).toBe(row.digest);
      const signer = await recoverAddress({ hash: hex(signed), signature: row.signature });
      expect(signer.toLowerCase()).toBe(file.signer.toLowerCase());
    });
  }
});

describe("bundle", () => {
  const file = vectors("bundle");
  const data = unhex(file.bundle);
  const made = bundle.decodeBundle(data);
  const leaves = made.entries.map(bundle.leafOf);
  test("roots, totals and hash of the report follow from it", () => {
    expect(hex(sha256(data))).toBe(file.archive_hash);
    expect(hex(new MerkleTree(leaves.map(leafHash)).root)).toBe(file.report.root);
    expect(hex(new MerkleTree(made.outcomes.map(bundle.outcomeLeaf)).root)).toBe(file.report.outcomes_root);
    expect(hex(bundle.evidenceRoot(made.devices))).toBe(file.report.evidence_root);
    expect(bundle.totals(leaves).map(Number)).toEqual(file.report.totals);
    expect(hex(made.feedId)).toBe(file.report.feed_id);
    expect(hex(structHash("Report", messageOf(file.report)))).toBe(file.struct_hash);
    expect(made.machines).toHaveLength(1);
  });
  test("is the one encoding of its value", () => expect(hex(encode(decode(data)))).toBe(file.bundle));
  test("is refused when a byte is cut or added", () => {
    expect(() => decode(data.slice(0, -1))).toThrow();
    expect(() => decode(join(data, Uint8Array.of(0)))).toThrow(/follow/);
  });
});

describe("evidence pack", () => {
  const text = readFileSync(new URL("../../tests/vectors/pack.json", import.meta.url), "utf8");
  test("holds, and gives what was settled", async () => {
    const { findings, slots } = await checkPack(parsePack(text));
    expect(findings.filter(({ problem }) => problem)).toEqual([]);
    expect(findings.length).toBeGreaterThan(50);
    expect(slots.map((slot) => slot.matchedWh)).toEqual([186, 186]);
    expect(slots.map((slot) => slot.deliveredMilliLanes)).toEqual([2000, 1000]);
  });
  const altered: [string, (pack: Pack) => unknown][] = [
    ["F2, F9 and F15 give this outcome", (pack) => Object.assign(pack.slots[0]!.plants[0]!, { sold_wh: 400 })],
    ["F2, F9 and F15 give this outcome", (pack) => Object.assign(pack.meters, { sites: { "2": 1 } })],
    ["it is in the report", (pack) => Object.assign(pack.slots[0]!.readings[0]!, { quality: 1 })],
    [
      "the outcome is in the report",
      (pack) => Object.assign(pack.slots[0]!.outcome, { packed: `0x${"00".repeat(16)}` }),
    ],
    [
      "it follows the report before",
      (pack) => Object.assign(pack.slots[1]!.report, { prev_hash: `0x${"00".repeat(32)}` }),
    ],
    ["a quorum signed the report", (pack) => Object.assign(pack.slots[1]!, { signatures: "0x" })],
    ["a quorum is more than two thirds", (pack) => Object.assign(pack, { quorum: 2 })],
    ["its quote carries its key", (pack) => Object.assign(pack.devices[0]!, { meter_id: 9 })],
  ];
  test.each(altered)("altered: %s", async (what, change) => {
    const pack = parsePack(text);
    change(pack);
    const { findings } = await checkPack(pack);
    expect(findings.filter(({ problem }) => problem).map((finding) => finding.what)).toContain(what);
  });
  test("another file is refused", async () => {
    expect(() => parsePack("{}")).toThrow(/pack/);
    await expect(checkPack({ format: "bitwatt/evidence-pack/2" } as Pack)).rejects.toThrow(/pack/);
  });
});

describe("outcomes", () => {
  const file = vectors("outcomes");
  const entries = Object.entries(file.packed as Record<string, string>).map(([chunk, packed]) => ({
    batchId: BigInt(file.batch_id),
    chunkIndex: BigInt(chunk),
    slot: BigInt(file.slot),
    packed: unhex(packed),
  }));
  test("leaves and root", () => {
    for (const entry of entries) expect(hex(bundle.outcomeLeaf(entry))).toBe(file.leaves[String(entry.chunkIndex)]);
    expect(hex(new MerkleTree(entries.map(bundle.outcomeLeaf)).root)).toBe(file.root);
  });
  test("no run got more than it ordered", () => {
    for (const { packed, chunkIndex } of entries) {
      const runs = file.runs.filter((run: { chunk_index: number }) => run.chunk_index === Number(chunkIndex));
      bundle.unpackOutcomes(packed).forEach((outcome, i) => {
        expect(outcome.deliveredMilliLanes).toBeLessThanOrEqual(1000 * runs[i].lanes);
        expect(outcome.matchedWh).toBeLessThanOrEqual(runs[i].lanes * runs[i].energy_wh_per_vcu_slot);
      });
    }
  });
});

test("publication", () => {
  const row = vectors("publication");
  expect(hex(bundle.publicationHash(row.start, row.slot_seconds, row.table))).toBe(row.hash);
});

describe("cbor", () => {
  test.each([
    "1800",
    "190001",
    "1a00000001",
    "1f",
    "a2010002",
    "a201000100",
    "7f",
    "62c328",
    "f5",
    "20",
  ])("%s is refused", (bytes) => expect(() => decode(unhex(`0x${bytes}`))).toThrow());
  test.each([0n, 23n, 24n, 255n, 256n, 65_535n, 65_536n, 2n ** 32n, 2n ** 64n - 1n])("%s comes back", (value) =>
    expect(decode(encode(value))).toBe(value));
});

test("byte strings sort as numbers of equal length do", () => {
  expect(compare(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBeLessThan(0);
  expect(compare(Uint8Array.of(1), Uint8Array.of(1, 0))).toBeLessThan(0);
});

test("report data binds key, nonce and meter", () => {
  const [x, y, nonce] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte));
  const one = hex(reportData(x!, y!, nonce!, 7n));
  expect(one).not.toBe(hex(reportData(x!, y!, nonce!, 8n)));
  expect(one).toHaveLength(66);
});
