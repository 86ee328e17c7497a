/** Readings: what a device signs, and the leaf that the committee reports. */
import { type Bytes, join, keccak256, toBigInt, uint, WireError } from "./bytes";
import { asBytes, asInt, decode, encode, type Value } from "./cbor";

const DOMAIN = "bitwatt/reading/1";

/** One interval value of one meter; quantity and register in mWh, or resource-milliseconds for kind 4. */
export interface Reading {
  chainId: bigint;
  meterId: bigint;
  kind: bigint;
  agreementId: Bytes;
  seq: bigint;
  start: bigint;
  end: bigint;
  quantity: bigint;
  register: bigint;
  quality: bigint;
}

/** The payload a device signs. */
export function encodeReading(reading: Reading): Bytes {
  const r = reading;
  const fields: Value[] = [r.chainId, r.meterId, r.kind, r.agreementId, r.seq, r.start, r.end, r.quantity, r.register];
  return encode(new Map<number, Value>([DOMAIN, ...fields, r.quality].map((value, key) => [key, value])));
}

/** The reading in `payload`; throws WireError unless it is a reading. */
export function decodeReading(payload: Bytes): Reading {
  const table = decode(payload);
  if (!(table instanceof Map) || table.size !== 11 || table.get(0) !== DOMAIN)
    throw new WireError(`reading: this is no "${DOMAIN}" map of 11 entries`);
  const int = (key: number) => asInt(table.get(key));
  return {
    chainId: int(1),
    meterId: int(2),
    kind: int(3),
    agreementId: asBytes(table.get(4), 32),
    seq: int(5),
    start: int(6),
    end: int(7),
    quantity: int(8),
    register: int(9),
    quality: int(10),
  };
}

/** A reading as reported: the committee's verdict on its quality, and what it rests on. */
export interface Leaf {
  reading: Reading;
  quality: bigint;
  keyId: Bytes;
  evidenceHash: Bytes;
  payloadHash: Bytes;
}

/** abi.encode of the twelve words. */
export function leafWords({ reading: r, quality, keyId, evidenceHash, payloadHash }: Leaf): Bytes {
  const words = [r.kind, r.meterId, toBigInt(r.agreementId), r.seq, r.start, r.end, r.quantity, r.register, quality];
  return join(...words.map((word) => uint(word)), keyId, evidenceHash, payloadHash);
}

/** Double keccak of the words: what stands in the tree. */
export const leafHash = (leaf: Leaf): Bytes => keccak256(keccak256(leafWords(leaf)));
