"""The OpenZeppelin standard Merkle tree: leaves sorted by hash, commutative keccak inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from oracle.wire.errors import WireError
from oracle.wire.keys import keccak256

EMPTY_ROOT = bytes(32)


def hash_pair(left: bytes, right: bytes) -> bytes:
    """Commutative keccak256 of two nodes."""
    return keccak256(left + right if left < right else right + left)


def leaf_hash(encoded: bytes) -> bytes:
    """keccak256(keccak256(abi.encode(...))): what stands at the bottom of the tree."""
    return keccak256(keccak256(encoded))


@dataclass(frozen=True, slots=True)
class MerkleTree:
    """A tree over leaf hashes; the order in which they are given does not matter.

    `nodes[0]` is the root and the children of node i are 2i+1 and 2i+2. No leaves: the root is 32 zero bytes.
    """

    nodes: tuple[bytes, ...]
    _at: dict[bytes, int] = field(repr=False, compare=False)

    @classmethod
    def of(cls, leaves: Iterable[bytes]) -> MerkleTree:
        """The tree over distinct 32-byte leaf hashes; raises WireError for a repeated one."""
        ordered = sorted(leaves)
        count = len(ordered)
        nodes = [EMPTY_ROOT] * max(2 * count - 1, 0)
        at: dict[bytes, int] = {}
        for index, leaf in enumerate(ordered):
            if len(leaf) != 32:
                raise WireError("leaf", f"{len(leaf)} bytes where 32 are due")
            place = 2 * count - 2 - index
            nodes[place] = leaf
            at[leaf] = place
        if len(at) != count:
            raise WireError("leaf", "the same leaf stands twice in one tree", "report every reading once")
        for place in range(count - 2, -1, -1):
            nodes[place] = hash_pair(nodes[2 * place + 1], nodes[2 * place + 2])
        return cls(tuple(nodes), at)

    @property
    def root(self) -> bytes:
        """The root, 32 zero bytes when there is no leaf."""
        return self.nodes[0] if self.nodes else EMPTY_ROOT

    def __len__(self) -> int:
        return len(self._at)

    def proof(self, leaf: bytes) -> list[bytes]:
        """Siblings from the leaf up to the root; raises WireError when the leaf is not in the tree."""
        place = self._place(leaf)
        siblings = []
        while place > 0:
            siblings.append(self.nodes[place + 1 if place % 2 else place - 1])
            place = (place - 1) // 2
        return siblings

    def multiproof(self, leaves: Sequence[bytes]) -> MultiProof:
        """One proof of several leaves, as OpenZeppelin's `multiProofVerify` takes it."""
        places = sorted((self._place(leaf) for leaf in leaves), reverse=True)
        if any(a == b for a, b in pairwise(places)):
            raise WireError("leaf", "cannot prove the same leaf twice")
        ordered = tuple(self.nodes[place] for place in places)
        if not places:
            return MultiProof((), (self.root,) if self.nodes else (), ())
        queue, proof, flags, index = list(places), [], [], 0
        while index < len(queue) and queue[index] > 0:
            place = queue[index]
            sibling = place + 1 if place % 2 else place - 1
            parent = (place - 1) // 2
            index += 1
            if index < len(queue) and queue[index] == sibling:
                flags.append(True)
                index += 1
            else:
                flags.append(False)
                proof.append(self.nodes[sibling])
            queue.append(parent)
        return MultiProof(ordered, tuple(proof), tuple(flags))

    def _place(self, leaf: bytes) -> int:
        if leaf not in self._at:
            raise WireError("leaf", f"0x{leaf.hex()} is not in the tree")
        return self._at[leaf]


@dataclass(frozen=True, slots=True)
class MultiProof:
    """Leaves in the order the verifier takes them, the missing siblings, and which steps use a known node."""

    leaves: tuple[bytes, ...]
    proof: tuple[bytes, ...]
    flags: tuple[bool, ...]

    def root(self) -> bytes:
        """The root this proof leads to; raises WireError when its lengths do not fit together."""
        if len(self.leaves) + len(self.proof) != len(self.flags) + 1:
            raise WireError("multiproof", "numbers of leaves, siblings and flags do not fit")
        stack, proof = list(self.leaves), iter(self.proof)
        if not self.flags:
            return (self.leaves + self.proof)[0]
        position = 0
        for known in self.flags:
            left = stack[position]
            position += 1
            if known:
                right = stack[position]
                position += 1
            else:
                right = next(proof)
            stack.append(hash_pair(left, right))
        return stack[-1]


def root_of(proof: Iterable[bytes], leaf: bytes) -> bytes:
    """The root to which `proof` leads from `leaf`."""
    node = leaf
    for sibling in proof:
        node = hash_pair(node, sibling)
    return node


def verify(root: bytes, proof: Iterable[bytes], leaf: bytes) -> bool:
    """Whether `leaf` is proven under `root`; the empty root proves nothing."""
    return root != EMPTY_ROOT and root_of(proof, leaf) == root
