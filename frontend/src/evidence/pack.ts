/** The evidence of one agreement in one file (`bitwatt evidence export`), checked with nothing else at hand. */
import { recoverAddress } from "viem/utils";
import { outcomeLeaf, unpackOutcomes } from "../wire/bundle";
import { type Bytes, equal, hex, join, keccak256, sha256, toBigInt, uint, unhex, WireError } from "../wire/bytes";
import { contains, decodeEvidence, type EvidenceDocument, reportData, verifyP256 } from "../wire/device";
import { verify } from "../wire/merkle";
import { agreementId, type Meters, outcomeOf, type Run, type Sold } from "../wire/outcomes";
import { decodeReading, type Leaf, leafHash } from "../wire/reading";
import { digest, domainSeparator, type Message, structHash } from "../wire/typed";

const FORMAT = "bitwatt/evidence-pack/2";
const MOST_BYTES = 64 << 20;

interface Row {
  payload: string;
  signature: string;
  quality: number;
  x: string;
  y: string;
  evidence_hash: string;
  proof: string[];
}

interface Slot {
  report: Record<string, string | number | number[]>;
  signatures: string;
  runs: Run[];
  plants: Sold[];
  readings: Row[];
  outcome: { slot: number; position: number; packed: string; proof: string[] };
}

export interface Pack {
  format: string;
  chain_id: number;
  oracle: string;
  members: string[];
  quorum: number;
  agreement_id: string;
  slots_due: number;
  slots: Slot[];
  meters: { sites: Meters; plants: Meters };
  devices: { meter_id: number; evidence_hash: string }[];
  evidence: Record<string, string>;
}

/** One thing that was checked; `problem` is empty where it holds. */
export interface Finding {
  place: string;
  what: string;
  problem: string;
}

export interface PackSlot {
  start: number;
  deliveredMilliLanes: number;
  matchedWh: number;
}

/** The pack in a file's text; throws WireError where it is none. */
export function parsePack(text: string): Pack {
  if (text.length > MOST_BYTES) throw new WireError(`pack: more than ${MOST_BYTES} bytes`);
  let pack: Pack;
  try {
    pack = JSON.parse(text);
  } catch {
    throw new WireError("pack: this is no JSON");
  }
  if (pack?.format !== FORMAT) throw new WireError(`pack: this is no "${FORMAT}" file`);
  return pack;
}

/** keccak256(abi.encode(chainId, oracle, members, quorum)): what binds a report to its committee. */
export function configDigest({ chain_id, oracle, members, quorum }: Pack): Bytes {
  const words = [uint(chain_id), address(oracle), uint(128), uint(quorum), uint(members.length)];
  return keccak256(join(...words, ...members.map(address)));
}

const address = (text: string): Bytes => uint(BigInt(text));
const camel = (name: string) => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
/** A report with the names of its EIP-712 fields. */
export const messageOf = (report: Slot["report"]): Message =>
  Object.fromEntries(Object.entries(report).map(([name, value]) => [camel(name), value]));

/** Every finding and what the agreement got; throws WireError where a part is missing or of another kind. */
export async function checkPack(pack: Pack): Promise<{ findings: Finding[]; slots: PackSlot[] }> {
  const findings: Finding[] = [];
  const note = (place: string, what: string, good: boolean, problem = "it does not hold") =>
    void findings.push({ place, what, problem: good ? "" : problem });
  try {
    const members = pack.members.map((member) => member.toLowerCase());
    const enough = 3 * pack.quorum > 2 * members.length && new Set(members).size === members.length;
    note("committee", "a quorum is more than two thirds", enough, `${pack.quorum} of ${members.length}`);
    checkDevices(pack, note);
    const slots: PackSlot[] = [];
    let previous: Message | null = null;
    for (const slot of pack.slots) {
      const report = messageOf(slot.report);
      const place = `slot ${report.start}`;
      await checkReport(pack, slot, report, previous, (what, good, problem) => note(place, what, good, problem));
      const leaves = [];
      for (const [number, row] of slot.readings.entries())
        leaves.push(await checkRow(pack, row, report, (what, good) => note(`${place} reading ${number}`, what, good)));
      slots.push(checkOutcome(pack, slot, report, leaves, (what, good) => note(place, what, good)));
      previous = report;
    }
    return { findings, slots };
  } catch (error) {
    if (error instanceof WireError) throw error;
    throw new WireError(`pack: a part is missing or of another kind (${error})`);
  }
}

type Note = (what: string, good: boolean, problem?: string) => void;

/** Documents have their hashes, and each quote carries the key, nonce and meter it is for. */
function checkDevices(pack: Pack, note: (place: string, what: string, good: boolean) => void): void {
  for (const [name, content] of Object.entries(pack.evidence)) {
    const data = unhex(content);
    note(`evidence ${name.slice(0, 18)}`, "the document has its hash", hex(sha256(data)) === name);
  }
  for (const device of pack.devices) {
    const document = documentOf(pack, device.evidence_hash);
    const good =
      Number(document?.meterId) === device.meter_id &&
      contains(document!.evidence, reportData(document!.x, document!.y, document!.nonce, document!.meterId));
    note(`meter ${device.meter_id}`, "its quote carries its key", good);
  }
}

function documentOf(pack: Pack, hash: string): EvidenceDocument | null {
  try {
    return decodeEvidence(unhex(pack.evidence[hash]!));
  } catch {
    return null; // it is missing, or no evidence document
  }
}

async function checkReport(pack: Pack, slot: Slot, report: Message, previous: Message | null, note: Note) {
  const hash = hex(digest(domainSeparator(pack.chain_id, pack.oracle), structHash("Report", report)));
  const parts = slot.signatures.slice(2).match(/.{130}/g) ?? [];
  const signers = new Set<string>();
  for (const part of parts) {
    try {
      signers.add((await recoverAddress({ hash, signature: `0x${part}` })).toLowerCase());
    } catch {} // no key made it
  }
  const members = pack.members.filter((member) => signers.has(member.toLowerCase()));
  note("a quorum signed the report", members.length >= pack.quorum, `${members.length} of ${pack.quorum}`);
  note("the report names this committee", hex(configDigest(pack)) === report.configDigest);
  if (previous && Number(previous.epoch) + 1 === Number(report.epoch))
    note("it follows the report before", hex(structHash("Report", previous)) === report.prevHash);
}

async function checkRow(pack: Pack, row: Row, report: Message, note: Note): Promise<Leaf> {
  const [payload, x, y] = [unhex(row.payload), unhex(row.x), unhex(row.y)];
  const leaf: Leaf = {
    reading: decodeReading(payload),
    quality: BigInt(row.quality),
    keyId: keccak256(join(x, y)),
    evidenceHash: unhex(row.evidence_hash),
    payloadHash: sha256(payload),
  };
  note("the device signed it", await verifyP256(x, y, payload, unhex(row.signature)));
  note("it is in the report", verify(unhex(report.root as string), row.proof.map(unhex), leafHash(leaf)));
  note("it is for this chain", leaf.reading.chainId === BigInt(pack.chain_id));
  const document = documentOf(pack, row.evidence_hash);
  note("the evidence of its key is here", !!document && equal(document.x, x) && equal(document.y, y));
  return leaf;
}

function checkOutcome(pack: Pack, slot: Slot, report: Message, leaves: Leaf[], note: Note): PackSlot {
  const agreement = toBigInt(unhex(pack.agreement_id));
  const [batchId, chunk, index] = [agreement >> 64n, (agreement >> 32n) & 0xffffffffn, agreement & 0xffffffffn];
  const packed = unhex(slot.outcome.packed);
  const leaf = outcomeLeaf({ batchId, chunkIndex: chunk, slot: BigInt(slot.outcome.slot), packed });
  const root = unhex(report.outcomesRoot as string);
  note("the outcome is in the report", verify(root, slot.outcome.proof.map(unhex), leaf));
  const found = unpackOutcomes(packed)[slot.outcome.position];
  note(`the outcome holds run ${index}`, !!found);
  const run = slot.runs.find((item) => agreementId(batchId, item.chunk_index, item.run_index) === agreement);
  if (!run) throw new WireError("pack: the agreement's run is not among the runs of its site");
  const when = [BigInt(report.start as number), BigInt(report.end as number)] as const;
  const { sites, plants } = pack.meters;
  const due = outcomeOf(batchId, run, slot.runs, slot.plants, leaves, when, sites, plants);
  const { deliveredMilliLanes = 0, matchedWh = 0 } = found ?? {};
  const same = due.deliveredMilliLanes === BigInt(deliveredMilliLanes) && due.matchedWh === BigInt(matchedWh);
  note("F2, F9 and F15 give this outcome", same);
  return { start: Number(report.start), deliveredMilliLanes, matchedWh };
}
