/** What committee members sign: EIP-712 hashes of reports, publications and device attestations. */
import { type Bytes, join, keccak256, uint, unhex, utf8, WireError } from "./bytes";

const DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";

export const TYPES = {
  Report:
    "Report(bytes32 feedId,uint64 epoch,uint64 start,uint64 end,bytes32 root,uint32 count,uint64[8] totals," +
    "bytes32 outcomesRoot,bytes32 evidenceRoot,bytes32 policyHash,bytes32 archiveHash,bytes32 prevHash," +
    "bytes32 configDigest)",
  Publication: "Publication(uint64 start,bytes32 contentHash,bytes32 configDigest)",
  DeviceAttestation:
    "DeviceAttestation(uint32 meterId,uint8 assetKind,uint32 assetId,bytes32 x,bytes32 y,bytes32 measurement," +
    "uint64 attestedUntil,bytes32 evidenceHash,uint8 evidenceKind,bytes32 configDigest)",
} as const;

type Field = bigint | number | string | readonly (bigint | number | string)[];
export type Message = Readonly<Record<string, Field>>;

const fieldsOf = (type: string) =>
  type
    .slice(type.indexOf("(") + 1, -1)
    .split(",")
    .map((part) => part.split(" ") as [string, string]);

function word(type: string, name: string, value: Field | undefined): Bytes {
  if (value === undefined) throw new WireError(`${name} is missing`);
  if (Array.isArray(value)) {
    const [, item, count] = type.match(/^(\w+)\[(\d+)\]$/) ?? [];
    if (value.length !== Number(count)) throw new WireError(`${name}: ${value.length} numbers where ${count} are due`);
    return keccak256(join(...value.map((entry) => word(item!, name, entry))));
  }
  if (type === "bytes32") {
    const bytes = unhex(value as string);
    if (bytes.length !== 32) throw new WireError(`${name}: ${bytes.length} bytes where 32 are due`);
    return bytes;
  }
  const number = BigInt(value as string | number | bigint);
  if (number >= 1n << BigInt(type.slice(4))) throw new WireError(`${name}: ${number} does not fit in ${type}`);
  return uint(number, 32, name);
}

/** EIP-712 hashStruct. */
export function structHash(kind: keyof typeof TYPES, message: Message): Bytes {
  const type = TYPES[kind];
  const words = fieldsOf(type).map(([fieldType, name]) => word(fieldType, name, message[name]));
  return keccak256(join(keccak256(utf8(type)), ...words));
}

/** The domain of the oracle's contract. */
export function domainSeparator(chainId: bigint | number, contract: string): Bytes {
  const text = (value: string) => keccak256(utf8(value));
  return keccak256(join(text(DOMAIN), text("BitWatt Oracle"), text("1"), uint(chainId), uint(BigInt(contract))));
}

/** The 32 bytes a member signs. */
export const digest = (separator: Bytes, hash: Bytes): Bytes =>
  keccak256(join(Uint8Array.of(0x19, 0x01), separator, hash));

export const feedId = (name: string): Bytes => keccak256(utf8(`bitwatt/feed/${name}`));
