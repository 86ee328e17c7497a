/** The archive bundle of one epoch: everything that stands under a report. */
import { type Bytes, hex, join, keccak256, sha256, toBigInt, uint, WireError } from "./bytes";
import { asBytes, asInt, asRows, decode } from "./cbor";
import { MerkleTree } from "./merkle";
import { decodeReading, type Leaf } from "./reading";

const DOMAIN = "bitwatt/bundle/1";

export interface DeviceRecord {
  meterId: bigint;
  x: Bytes;
  y: Bytes;
  evidenceHash: Bytes;
}

export interface Entry {
  payload: Bytes;
  /** r || s */
  signature: Bytes;
  quality: bigint;
  device: DeviceRecord;
}

export interface OutcomeEntry {
  batchId: bigint;
  chunkIndex: bigint;
  slot: bigint;
  packed: Bytes;
}

export interface Bundle {
  chainId: bigint;
  feedId: Bytes;
  epoch: bigint;
  start: bigint;
  end: bigint;
  devices: DeviceRecord[];
  entries: Entry[];
  outcomes: OutcomeEntry[];
  /** documents of machines that registered: payload and signature */
  machines: { payload: Bytes; signature: Bytes }[];
}

/** The bundle in `data`; throws WireError when it is malformed. */
export function decodeBundle(data: Bytes): Bundle {
  const table = decode(data);
  if (!(table instanceof Map) || table.size !== (table.has(9) ? 10 : 9) || table.get(0) !== DOMAIN)
    throw new WireError(`bundle: this is no "${DOMAIN}" map`);
  const devices = asRows(table.get(6), 4).map((row) => ({
    meterId: asInt(row[0]),
    x: asBytes(row[1], 32),
    y: asBytes(row[2], 32),
    evidenceHash: asBytes(row[3], 32),
  }));
  const entries = asRows(table.get(7), 4).map((row) => {
    const device = devices[Number(asInt(row[3]))];
    if (!device) throw new WireError("bundle: an entry names a device that is not in the table");
    return { payload: asBytes(row[0]), signature: asBytes(row[1], 64), quality: asInt(row[2]), device };
  });
  const outcomes = asRows(table.get(8), 4).map((row) => ({
    batchId: asInt(row[0]),
    chunkIndex: asInt(row[1]),
    slot: asInt(row[2]),
    packed: asBytes(row[3]),
  }));
  const machines = asRows(table.get(9) ?? [], 2).map((row) => ({
    payload: asBytes(row[0]),
    signature: asBytes(row[1], 64),
  }));
  const int = (key: number) => asInt(table.get(key));
  const feedId = asBytes(table.get(2), 32);
  const head = { chainId: int(1), feedId, epoch: int(3), start: int(4), end: int(5) };
  return { ...head, devices, entries, outcomes, machines };
}

export const keyId = (device: DeviceRecord): Bytes => keccak256(join(device.x, device.y));

/** The leaf of an entry. */
export function leafOf(entry: Entry): Leaf {
  return {
    reading: decodeReading(entry.payload),
    quality: entry.quality,
    keyId: keyId(entry.device),
    evidenceHash: entry.device.evidenceHash,
    payloadHash: sha256(entry.payload),
  };
}

/** Leaf of one chunk's outcomes in one slot. */
export function outcomeLeaf({ batchId, chunkIndex, slot, packed }: OutcomeEntry): Bytes {
  return keccak256(keccak256(join(uint(batchId), uint(chunkIndex), uint(slot), keccak256(packed))));
}

/** Delivered milli-lanes and matched Wh of each run. */
export function unpackOutcomes(packed: Bytes): { deliveredMilliLanes: number; matchedWh: number }[] {
  if (packed.length % 8) throw new WireError("outcomes: not a whole number of 8-byte outcomes");
  return Array.from({ length: packed.length / 8 }, (_, i) => ({
    deliveredMilliLanes: Number(toBigInt(packed.slice(8 * i, 8 * i + 4))),
    matchedWh: Number(toBigInt(packed.slice(8 * i + 4, 8 * i + 8))),
  }));
}

/** Sum of quantities by kind / 1000, rounded down. */
export function totals(leaves: readonly Leaf[]): bigint[] {
  const sums = new Array<bigint>(8).fill(0n);
  for (const { reading } of leaves) sums[Number(reading.kind)]! += reading.quantity;
  return sums.map((sum) => sum / 1000n);
}

/** Root over the distinct evidence documents. */
export function evidenceRoot(devices: readonly DeviceRecord[]): Bytes {
  const distinct = new Map(devices.map((device) => [hex(device.evidenceHash), device.evidenceHash]));
  return new MerkleTree([...distinct.values()].map((item) => keccak256(keccak256(item)))).root;
}

/** keccak256(abi.encode(start, slotSeconds, slots, zones, keccak256(carbon))): what is published for a batch. */
export function publicationHash(start: number, slotSeconds: number, table: readonly (readonly number[])[]): Bytes {
  const carbon = join(...table.flat().map((grams) => uint(grams, 2, "carbon")));
  const words = [start, slotSeconds, table[0]?.length ?? 0, table.length].map((value) => uint(value));
  return keccak256(join(...words, keccak256(carbon)));
}
