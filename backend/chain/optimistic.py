"""Client of optimistic batches: a solver posts roots under a bond, anyone may prove one step wrong.

The solver's calls up to the offers are the market's own (`Market`): OptimisticMarket passes them on.
"""

from __future__ import annotations

from dataclasses import astuple

from backend.chain.claims import Claim, Commitment
from backend.chain.clients import LARGE_GAS, Client, Market
from backend.chain.faults import Proof
from backend.chain.packing import PART_BYTES, PriceTable, pack_prices, split_parts
from backend.chain.plan import Call


class OptimisticMarket(Market):
    """Roots, bond, window; chunks are opened into BundleMarket once nobody has proved a fault."""

    name = "OptimisticMarket"

    def set_class_energy(self, class_id: int, energy_wh_per_vcu_slot: int) -> Call:
        """The class's standard energy, once, by an operator; batches need it for every class."""
        return self.call("setClassEnergy", class_id, energy_wh_per_vcu_slot, label=str(class_id))

    def price_calls(self, batch_id: int, table: PriceTable) -> list[Call]:
        """The whole price table; every part but the last is 24,000 bytes, as fraud proofs expect."""
        parts = split_parts(pack_prices(table), PART_BYTES)
        return [self.post_prices(batch_id, part, data) for part, data in enumerate(parts)]

    def reserve(self, amount_micro: int) -> Call:
        """Sets the sender's money aside for orders of optimistic batches."""
        return self.call("reserve", amount_micro)

    def post(self, batch_id: int, claim: Claim) -> Call:
        """Posts the claim and holds the sender's bond."""
        return self.call("post", batch_id, astuple(claim), gas=LARGE_GAS)

    def demand(self, batch_id: int, claim: Claim, tree: int, index: int) -> Call:
        """Asks for a leaf (tree 0 rows, 1 steps) for a fee; without an answer in time the claim falls."""
        return self.call("demand", batch_id, astuple(claim), tree, index)

    def finalise(self, batch_id: int) -> Call:
        """Ends the window of a claim that nobody proved wrong."""
        return self.call("finalise", batch_id)

    def collect(self, batch_id: int) -> Call:
        """Pays a convicted bond, half to the challenger, half to the owner, and voids the batch."""
        return self.call("collect", batch_id)

    def chunk_calls(self, batch_id: int, made: Commitment) -> list[Call]:
        """Opens every chunk of a final claim into the market."""
        width = 1 << made.claim.chunk_bits
        calls = []
        for chunk in range(-(-len(made.rows) // width)):
            rows = range(chunk * width, min((chunk + 1) * width, len(made.rows)))
            shown = [astuple(made.rows[row]) for row in rows]
            runs = [made.entries[row].runs for row in rows]
            path = made.row_path(chunk * width)[made.claim.chunk_bits :]
            arguments = (batch_id, astuple(made.claim), chunk, shown, runs, path)
            calls.append(self.call("openChunk", *arguments, gas=LARGE_GAS, label=f"chunk {chunk}"))
        return calls

    def complete(self, batch_id: int, claim: Claim) -> Call:
        """Makes the batch final in the market once all chunks are open; returns the bond."""
        return self.call("complete", batch_id, astuple(claim))


class Challenges(Client):
    """The fraud proofs."""

    name = "Challenges"

    def prove(self, batch_id: int, made: Commitment, proof: Proof) -> Call:
        """Sends a proof; it reverts with NothingWrong where nothing is."""
        return Call(self.address, proof.calldata(batch_id, made), LARGE_GAS, f"Challenges.{proof.function}")
