/** Bytes, words and hashes of the wire format. */
import { bytesToHex, concat, hexToBytes, keccak256 as keccak, sha256 as sha } from "viem/utils";

export type Bytes = Uint8Array;

export const keccak256 = (data: Bytes): Bytes => keccak(data, "bytes");
export const sha256 = (data: Bytes): Bytes => sha(data, "bytes");
export const hex = (data: Bytes): `0x${string}` => bytesToHex(data);
export const unhex = (text: string): Bytes => hexToBytes(text as `0x${string}`);
export const join = (...parts: Bytes[]): Bytes => concat(parts);
export const utf8 = (text: string): Bytes => new TextEncoder().encode(text);

export function equal(a: Bytes, b: Bytes): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Order of byte strings, as Python sorts them. */
export function compare(a: Bytes, b: Bytes): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

/** A big-endian word of `size` bytes; throws WireError when the value does not fit. */
export function uint(value: bigint | number, size = 32, name = "value"): Bytes {
  let rest = BigInt(value);
  if (rest < 0n || rest >= 1n << BigInt(8 * size))
    throw new WireError(`${name}: ${value} does not fit in ${size} bytes`);
  const out = new Uint8Array(size);
  for (let i = size - 1; i >= 0; i--) {
    out[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return out;
}

export function toBigInt(data: Bytes): bigint {
  return data.length ? BigInt(hex(data)) : 0n;
}

/** The bytes are not what the wire format allows. */
export class WireError extends Error {}
