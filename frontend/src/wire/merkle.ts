/** The OpenZeppelin standard Merkle tree: leaves sorted by hash, commutative keccak inside. */
import { type Bytes, compare, equal, hex, join, keccak256, WireError } from "./bytes";

export const EMPTY_ROOT = new Uint8Array(32);

export const hashPair = (a: Bytes, b: Bytes): Bytes => keccak256(compare(a, b) < 0 ? join(a, b) : join(b, a));

/** A tree over leaf hashes in any order; node 0 is the root, the children of i are 2i+1 and 2i+2. */
export class MerkleTree {
  readonly nodes: Bytes[];
  private readonly places = new Map<string, number>();

  constructor(leaves: readonly Bytes[]) {
    const sorted = [...leaves].sort(compare);
    this.nodes = new Array(Math.max(2 * sorted.length - 1, 0));
    sorted.forEach((leaf, index) => {
      const place = 2 * sorted.length - 2 - index;
      this.nodes[place] = leaf;
      this.places.set(hex(leaf), place);
    });
    if (this.places.size !== sorted.length) throw new WireError("merkle: the same leaf stands twice in one tree");
    for (let i = sorted.length - 2; i >= 0; i--)
      this.nodes[i] = hashPair(this.nodes[2 * i + 1]!, this.nodes[2 * i + 2]!);
  }

  get root(): Bytes {
    return this.nodes[0] ?? EMPTY_ROOT;
  }

  /** Siblings from the leaf up to the root. */
  proof(leaf: Bytes): Bytes[] {
    let place = this.places.get(hex(leaf));
    if (place === undefined) throw new WireError(`merkle: ${hex(leaf)} is not in the tree`);
    const siblings: Bytes[] = [];
    while (place > 0) {
      siblings.push(this.nodes[place % 2 ? place + 1 : place - 1]!);
      place = (place - 1) >> 1;
    }
    return siblings;
  }
}

/** The nodes from the leaf to the root to which `proof` leads. */
export function climb(leaf: Bytes, proof: readonly Bytes[]): Bytes[] {
  const nodes = [leaf];
  for (const sibling of proof) nodes.push(hashPair(nodes.at(-1)!, sibling));
  return nodes;
}

/** Whether `leaf` is proven under `root`; the empty root proves nothing. */
export const verify = (root: Bytes, proof: readonly Bytes[], leaf: Bytes): boolean =>
  !equal(root, EMPTY_ROOT) && equal(climb(leaf, proof).at(-1)!, root);
