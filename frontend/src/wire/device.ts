/** A device's P-256 key (WebCrypto) and the evidence that binds it to a quote. */
import { type Bytes, join, sha256, toBigInt, uint, utf8, WireError } from "./bytes";
import { asBytes, asInt, decode } from "./cbor";

const HALF_ORDER = 0x7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8n;

/** Whether the key at (x, y) made the low-s signature r || s of SHA-256(payload). */
export async function verifyP256(x: Bytes, y: Bytes, payload: Bytes, signature: Bytes): Promise<boolean> {
  if (signature.length !== 64 || toBigInt(signature.slice(32)) > HALF_ORDER) return false;
  const raw = join(Uint8Array.of(4), x, y);
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  try {
    const key = await crypto.subtle.importKey("raw", raw as BufferSource, algorithm, false, ["verify"]);
    return await crypto.subtle.verify(algorithm, key, signature as BufferSource, payload as BufferSource);
  } catch {
    return false; // the point is not on the curve
  }
}

const EVIDENCE = "bitwatt/evidence/1";
export const EVIDENCE_KINDS = ["simulated", "tdx", "sgx", "snp", "nitro", "nvgpu"] as const;

export interface EvidenceDocument {
  kind: (typeof EVIDENCE_KINDS)[number];
  chainId: bigint;
  meterId: bigint;
  x: Bytes;
  y: Bytes;
  nonce: Bytes;
  evidence: Bytes;
  collateralHash: Bytes;
}

export function decodeEvidence(data: Bytes): EvidenceDocument {
  const table = decode(data);
  if (!(table instanceof Map) || table.size !== 9 || table.get(0) !== EVIDENCE)
    throw new WireError(`evidence: this is no "${EVIDENCE}" document`);
  const kind = EVIDENCE_KINDS[Number(asInt(table.get(1)))];
  if (!kind) throw new WireError("evidence: unknown kind");
  const word = (key: number) => asBytes(table.get(key), 32);
  return {
    kind,
    chainId: asInt(table.get(2)),
    meterId: asInt(table.get(3)),
    x: word(4),
    y: word(5),
    nonce: word(6),
    evidence: asBytes(table.get(7)),
    collateralHash: word(8),
  };
}

/** The 32 bytes that a quote of this device must carry: SHA-256("bitwatt/device/1", x, y, nonce, meterId). */
export const reportData = (x: Bytes, y: Bytes, nonce: Bytes, meterId: bigint): Bytes =>
  sha256(join(utf8("bitwatt/device/1"), x, y, nonce, uint(meterId, 4)));

/** Whether `needle` stands somewhere in `data`. */
export function contains(data: Bytes, needle: Bytes): boolean {
  outer: for (let at = 0; at + needle.length <= data.length; at++) {
    for (let i = 0; i < needle.length; i++) if (data[at + i] !== needle[i]) continue outer;
    return true;
  }
  return false;
}
