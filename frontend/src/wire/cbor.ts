/** Deterministic CBOR (RFC 8949 section 4.2), only what the wire format uses: unsigned integers, byte strings, text,
 * arrays, and maps with integer keys in rising order. Every second way to write the same value is refused. */
import { type Bytes, join, uint, utf8, WireError } from "./bytes";

export type Value = bigint | Bytes | string | Value[] | Map<number, Value>;
const MAX_DEPTH = 8;

/** Initial bytes of an item in their shortest form. */
export function head(major: number, argument: bigint | number): Bytes {
  const value = BigInt(argument);
  if (value < 24n) return Uint8Array.of((major << 5) | Number(value));
  for (const [extra, size] of [
    [24, 1],
    [25, 2],
    [26, 4],
    [27, 8],
  ] as const)
    if (value < 1n << BigInt(8 * size)) return join(Uint8Array.of((major << 5) | extra), uint(value, size));
  throw new WireError(`cbor: ${argument} does not fit in 64 bits`);
}

export function encode(value: Value): Bytes {
  if (typeof value === "bigint") return head(0, value);
  if (value instanceof Uint8Array) return join(head(2, value.length), value);
  if (typeof value === "string") {
    const text = utf8(value);
    return join(head(3, text.length), text);
  }
  if (Array.isArray(value)) return join(head(4, value.length), ...value.map(encode));
  const keys = [...value.keys()].sort((a, b) => a - b);
  return join(head(5, keys.length), ...keys.flatMap((key) => [head(0, key), encode(value.get(key)!)]));
}

class Reader {
  at = 0;
  constructor(readonly data: Bytes) {}

  head(): [number, bigint] {
    const start = this.at;
    const first = this.data[this.at++];
    if (first === undefined) throw new WireError(`cbor: the data ends at offset ${start}`);
    const [major, low] = [first >> 5, first & 31];
    if (low < 24) return [major, BigInt(low)];
    if (low > 27) throw new WireError(`cbor: initial byte ${first} at offset ${start} is not allowed`);
    const size = 1 << (low - 24);
    const bytes = this.take(size);
    const argument = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    if (argument < (size === 1 ? 24n : 1n << BigInt(4 * size)))
      throw new WireError(`cbor: ${argument} at offset ${start} is not in its shortest form`);
    return [major, argument];
  }

  take(size: number): Bytes {
    if (this.at + size > this.data.length) throw new WireError(`cbor: the data ends inside the item at ${this.at}`);
    this.at += size;
    return this.data.slice(this.at - size, this.at);
  }

  item(depth: number): Value {
    if (depth > MAX_DEPTH) throw new WireError(`cbor: nested deeper than ${MAX_DEPTH}`);
    const [major, argument] = this.head();
    if (major === 0) return argument;
    if (argument > BigInt(this.data.length - this.at)) throw new WireError("cbor: more items than bytes are left");
    const count = Number(argument);
    if (major === 2) return this.take(count);
    if (major === 3) return new TextDecoder("utf-8", { fatal: true }).decode(this.take(count));
    if (major === 4) return Array.from({ length: count }, () => this.item(depth + 1));
    if (major === 5) return this.map(count, depth);
    throw new WireError(`cbor: major type ${major} has no place in the wire format`);
  }

  private map(count: number, depth: number): Value {
    const table = new Map<number, Value>();
    let last = -1;
    for (let i = 0; i < count; i++) {
      const key = this.item(depth + 1);
      if (typeof key !== "bigint" || Number(key) <= last) throw new WireError("cbor: map keys are not in rising order");
      last = Number(key);
      table.set(last, this.item(depth + 1));
    }
    return table;
  }
}

/** The one value in `data`; throws WireError when it is not exactly one deterministic item. */
export function decode(data: Bytes): Value {
  const reader = new Reader(data);
  const value = reader.item(0);
  if (reader.at !== data.length) throw new WireError(`cbor: ${data.length - reader.at} bytes follow the value`);
  return value;
}

// --- typed reading of decoded values ------------------------------------------------------------------------
export function asBytes(value: Value | undefined, size?: number): Bytes {
  if (!(value instanceof Uint8Array) || (size !== undefined && value.length !== size))
    throw new WireError(`cbor: a byte string${size ? ` of ${size} bytes` : ""} is due`);
  return value;
}

export function asInt(value: Value | undefined): bigint {
  if (typeof value !== "bigint") throw new WireError("cbor: an integer is due");
  return value;
}

export function asRows(value: Value | undefined, width: number): Value[][] {
  if (!Array.isArray(value) || !value.every((row) => Array.isArray(row) && row.length === width))
    throw new WireError(`cbor: an array of rows of ${width} is due`);
  return value as Value[][];
}
