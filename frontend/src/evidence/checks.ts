/** The chain of proof of one reading, each step computed here. */
import { recoverAddress } from "viem/utils";
import * as bundles from "../wire/bundle";
import { type Bytes, equal, hex, sha256, unhex } from "../wire/bytes";
import { contains, decodeEvidence, reportData, verifyP256 } from "../wire/device";
import { climb, MerkleTree } from "../wire/merkle";
import { encodeReading, type Leaf, leafHash, type Reading } from "../wire/reading";
import { digest, domainSeparator, structHash } from "../wire/typed";
import type { OnChain, OnChainDevice } from "./chain";

export type Verdict = "pass" | "fail" | "unknown";
export type StepName = "device" | "leaf" | "path" | "archive" | "committee" | "registry" | "quote";

export interface Step {
  name: StepName;
  verdict: Verdict;
  /** what was computed */
  values: string[];
}

export interface Material {
  data: Bytes;
  bundle: bundles.Bundle;
  leaves: Leaf[];
  tree: MerkleTree;
  onChain: OnChain | null;
}

const yes = (ok: boolean): Verdict => (ok ? "pass" : "fail");

/** Decodes the archived bundle and builds its tree. */
export function materialOf(data: Bytes, onChain: OnChain | null): Material {
  const bundle = bundles.decodeBundle(data);
  const leaves = bundle.entries.map(bundles.leafOf);
  return { data, bundle, leaves, tree: new MerkleTree(leaves.map(leafHash)), onChain };
}

/** Steps of entry `index` with its reading replaced by `reading` (the reading itself, or an edited one). */
export async function checkReading(
  material: Material,
  index: number,
  reading: Reading,
  device: OnChainDevice | null,
  evidence: Bytes | null,
): Promise<{ steps: Step[]; path: string[] }> {
  const entry = material.bundle.entries[index]!;
  const original = material.leaves[index]!;
  const payload = encodeReading(reading);
  const leaf = leafHash({ ...original, reading, payloadHash: sha256(payload) });
  const nodes = climb(leaf, material.tree.proof(leafHash(original)));
  const root = nodes.at(-1)!;
  const { onChain } = material;
  const signed = await verifyP256(entry.device.x, entry.device.y, payload, entry.signature);
  const steps: Step[] = [
    { name: "device", verdict: yes(signed), values: [hex(entry.signature)] },
    { name: "leaf", verdict: yes(equal(leaf, leafHash(original))), values: [hex(leaf)] },
    {
      name: "path",
      verdict: onChain ? yes(equal(root, unhex(onChain.root))) : "unknown",
      values: onChain ? [hex(root), onChain.root] : [hex(root)],
    },
    archiveStep(material),
    onChain ? await committeeStep(onChain) : { name: "committee", verdict: "unknown", values: [] },
    {
      name: "registry",
      verdict: device
        ? yes(
            equal(unhex(device.x), entry.device.x) &&
              equal(unhex(device.y), entry.device.y) &&
              equal(unhex(device.evidenceHash), entry.device.evidenceHash),
          )
        : "unknown",
      values: [hex(entry.device.x), hex(entry.device.y)],
    },
    quoteStep(entry.device, evidence),
  ];
  return { steps, path: nodes.map(hex) };
}

function archiveStep({ data, onChain }: Material): Step {
  const hash = hex(sha256(data));
  return { name: "archive", verdict: onChain ? yes(hash === onChain.message.archiveHash) : "unknown", values: [hash] };
}

/** A quorum of distinct members signed this report, and the report names the root on chain. */
export async function committeeStep(onChain: OnChain): Promise<Step> {
  const separator = domainSeparator(onChain.chainId, onChain.oracle);
  const hash = hex(digest(separator, structHash("Report", onChain.message)));
  const signers = await Promise.all(
    onChain.signatures.map(async (signature) => (await recoverAddress({ hash, signature })).toLowerCase()),
  );
  const members = new Set(signers.filter((signer) => onChain.members.includes(signer)));
  const ok = members.size >= onChain.quorum && members.size === signers.length && onChain.message.root === onChain.root;
  return { name: "committee", verdict: yes(ok), values: [hash, ...signers] };
}

function quoteStep(device: bundles.DeviceRecord, evidence: Bytes | null): Step {
  if (!evidence) return { name: "quote", verdict: "unknown", values: [hex(device.evidenceHash)] };
  const hash = sha256(evidence);
  let ok = equal(hash, device.evidenceHash);
  const values = [hex(hash)];
  try {
    const document = decodeEvidence(evidence);
    const bound = reportData(device.x, device.y, document.nonce, device.meterId);
    values.push(hex(bound));
    ok = ok && equal(document.x, device.x) && equal(document.y, device.y) && contains(document.evidence, bound);
  } catch {
    ok = false; // not an evidence document
  }
  return { name: "quote", verdict: yes(ok), values };
}

export interface Whole {
  readings: number;
  signatures: number;
  rootOk: boolean;
  outcomesOk: boolean;
  totalsOk: boolean;
  evidenceOk: boolean;
}

/** Everything of one interval: all signatures, both roots, totals and evidence. */
export async function checkWhole(material: Material, progress: (done: number) => void): Promise<Whole> {
  const { bundle, leaves, tree, onChain } = material;
  let signatures = 0;
  for (const [index, entry] of bundle.entries.entries()) {
    if (await verifyP256(entry.device.x, entry.device.y, entry.payload, entry.signature)) signatures++;
    if (index % 50 === 0) progress(index);
  }
  const outcomes = new MerkleTree(bundle.outcomes.map(bundles.outcomeLeaf)).root;
  const totals = onChain?.message.totals as readonly bigint[] | undefined;
  return {
    readings: leaves.length,
    signatures,
    rootOk: hex(tree.root) === onChain?.root,
    outcomesOk: hex(outcomes) === onChain?.outcomesRoot,
    totalsOk: bundles.totals(leaves).every((sum, kind) => BigInt(totals?.[kind] ?? -1) === sum),
    evidenceOk: hex(bundles.evidenceRoot(bundle.devices)) === onChain?.message.evidenceRoot,
  };
}
