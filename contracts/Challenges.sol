// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IBundleMarket} from "./interfaces/IBundleMarket.sol";
import {IChallenges} from "./interfaces/IChallenges.sol";
import {IOptimisticMarket} from "./interfaces/IOptimisticMarket.sol";
import {Claims} from "./libraries/Claims.sol";
import {FaultFinder} from "./libraries/FaultFinder.sol";
import {OrderLib} from "./libraries/OrderLib.sol";
import {PriceRows} from "./libraries/PriceRows.sol";
import {RunWord} from "./libraries/RunWord.sol";

/// @title Challenges
/// @notice See IChallenges: the interface is the document.
contract Challenges is IChallenges {
    using OrderLib for IBundleMarket.BundleOrder;
    using RunWord for uint256;

    /// @dev The EIP-712 domain of OptimisticMarket.
    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant NAME = keccak256("BitWatt Optimistic");
    bytes32 private constant VERSION = keccak256("1");
    uint256 private constant NO_KEY = type(uint256).max; // after the last step
    uint256 private constant BOTTOM = 0xffffffffffffff; // side, row and run of a key

    IOptimisticMarket private immutable OPTIMISTIC;
    IBundleMarket private immutable MARKET;

    constructor(address optimistic, address market) {
        OPTIMISTIC = IOptimisticMarket(optimistic);
        MARKET = IBundleMarket(market);
    }

    /// @inheritdoc IChallenges
    function proveRun(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        RowAt calldata leaf,
        IBundleMarket.BundleOrder calldata order,
        bytes calldata runs,
        uint256 run
    ) external {
        _order(batchId, claim, leaf, order);
        _runs(leaf.row, runs);
        uint256 word = RunWord.read(runs, run);
        uint256 place = leaf.index & ((uint256(1) << claim.chunkBits) - 1);
        _verdict(batchId, FaultFinder.runIsWrong(_source(batchId), claim, order, word, place), "run");
    }

    /// @inheritdoc IChallenges
    function proveOrder(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        RowAt calldata leaf,
        IBundleMarket.BundleOrder calldata order,
        bytes calldata runs,
        bytes calldata marks,
        uint256 zone,
        uint256 slot
    ) external {
        _order(batchId, claim, leaf, order);
        _runs(leaf.row, runs);
        _marks(leaf.row, marks);
        _verdict(batchId, FaultFinder.orderIsWrong(leaf.row, order, runs, marks, zone, slot), "order");
    }

    /// @inheritdoc IChallenges
    function proveAuthority(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        RowAt calldata leaf,
        IBundleMarket.BundleOrder calldata order,
        bytes calldata sig
    ) external {
        uint256 postedAt = _order(batchId, claim, leaf, order);
        require(keccak256(sig) == leaf.row.sigHash, DataNotOfRow("sig"));
        bool wrong = leaf.row.maker != order.maker || leaf.row.nonce != order.nonce || leaf.row.orderLanes != order.lanes
            || OPTIMISTIC.obstacle(order, sig, postedAt) != "";
        _verdict(batchId, wrong, "authority");
    }

    /// @inheritdoc IChallenges
    function proveBetterBundle(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        RowAt calldata leaf,
        IBundleMarket.BundleOrder calldata order,
        Shown calldata green,
        Shown calldata free
    ) external {
        _order(batchId, claim, leaf, order);
        int256 profit = FaultFinder.shownProfit(_source(batchId), claim, order, green, free);
        _verdict(batchId, profit > int256(uint256(leaf.row.bestMilli)), "better bundle");
    }

    /// @inheritdoc IChallenges
    function proveRowSum(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        RowAt calldata before,
        RowAt calldata leaf
    ) external {
        _posted(batchId, claim);
        _inTree(claim, leaf);
        int256 welfare = leaf.row.welfareMilli;
        uint256 best = leaf.row.bestMilli;
        bool linked = true;
        if (leaf.index != 0) {
            _inTree(claim, before);
            require(before.index + 1 == leaf.index, NotNeighbours(before.index, leaf.index));
            welfare += before.row.cumWelfare;
            best += before.row.cumBest;
            linked = before.row.nextKey == Claims.keyOf(leaf.row);
        }
        bool wrong = !linked || leaf.row.cumWelfare != welfare || leaf.row.cumBest != best;
        bool last = leaf.index + 1 == claim.rows;
        bool total = leaf.row.cumWelfare != claim.welfareMilli || leaf.row.cumBest != claim.bestMilli;
        _verdict(batchId, wrong || (last && total), "row sum");
    }

    /// @inheritdoc IChallenges
    function proveStepSum(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        StepAt calldata before,
        StepAt calldata leaf
    ) external {
        _posted(batchId, claim);
        _inTree(claim, leaf);
        int256 load = leaf.step.delta;
        bool linked = true;
        if (leaf.index != 0) {
            _inTree(claim, before);
            require(before.index + 1 == leaf.index, NotNeighbours(before.index, leaf.index));
            if (before.step.key >> 72 == leaf.step.key >> 72) load += before.step.load;
            linked = before.step.nextKey == leaf.step.key;
        }
        _verdict(batchId, leaf.step.load != load || !linked, "step sum");
    }

    /// @inheritdoc IChallenges
    function proveLoad(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        uint256 kind,
        uint256 cell,
        uint256 slot,
        StepAt calldata last
    ) external {
        _posted(batchId, claim);
        uint256 key = Claims.stepKey(kind, cell, slot, 0, 0, 0) | BOTTOM;
        bool same = _isLast(claim, last, key) && last.step.key >> 72 == key >> 72;
        int256 load = same ? last.step.load : int256(0);
        bool wrong;
        if (kind == Claims.LANES && cell < claim.computeOffers) {
            wrong = load > int256(uint256(MARKET.computeOffer(batchId, uint16(cell)).capacity));
        } else if (kind == Claims.ENERGY && cell < 2 * uint256(claim.zones) && slot < claim.slots) {
            wrong = load != MARKET.poolBalanceWh(batchId, uint16(cell >> 1), uint8(cell & 1), uint16(slot));
        }
        _verdict(batchId, wrong, "load");
    }

    /// @inheritdoc IChallenges
    function proveRowOrder(uint64 batchId, IOptimisticMarket.Claim calldata claim, RowAt calldata leaf) external {
        _posted(batchId, claim);
        _inTree(claim, leaf);
        bool isLast = leaf.index + 1 == claim.rows;
        bool wrong = Claims.keyOf(leaf.row) >= leaf.row.nextKey || (isLast && leaf.row.nextKey != NO_KEY);
        _verdict(batchId, wrong, "row order");
    }

    /// @inheritdoc IChallenges
    function proveStepOrder(uint64 batchId, IOptimisticMarket.Claim calldata claim, StepAt calldata leaf) external {
        _posted(batchId, claim);
        _inTree(claim, leaf);
        bool isLast = leaf.index + 1 == claim.steps;
        bool wrong = leaf.step.key >= leaf.step.nextKey || (isLast && leaf.step.nextKey != NO_KEY);
        _verdict(batchId, wrong, "step order");
    }

    /// @inheritdoc IChallenges
    function proveOmittedOrder(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        address maker,
        uint64 nonce,
        RowAt calldata last
    ) external {
        uint256 postedAt = _posted(batchId, claim);
        bytes32 hash = _insisted(claim.start, maker, nonce, postedAt);
        _inTree(claim, last);
        (uint256 key, uint256 below) = (Claims.rowKey(maker, nonce), Claims.keyOf(last.row));
        bool next = below <= key ? key < last.row.nextKey : last.index == 0;
        require(next, NotNeighbours(last.index, key));
        // a row in the place that is of another order is as good as none
        _verdict(batchId, below != key || last.row.orderHash != hash, "omitted order");
    }

    /// @inheritdoc IChallenges
    function proveOmittedStep(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        RowAt calldata leaf,
        bytes calldata runs,
        uint256 run,
        uint256 part,
        StepAt calldata last
    ) external {
        _posted(batchId, claim);
        _inTree(claim, leaf);
        _runs(leaf.row, runs);
        (uint256 key,) = _stepOf(batchId, leaf.index, RunWord.read(runs, run), run, part);
        bool there = _isLast(claim, last, key) && last.step.key == key;
        _verdict(batchId, !there, "omitted step");
    }

    /// @inheritdoc IChallenges
    function proveStrayStep(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        StepAt calldata step,
        RowAt calldata leaf,
        bytes calldata runs
    ) external {
        _posted(batchId, claim);
        _inTree(claim, step);
        uint256 key = step.step.key;
        (uint256 row, uint256 run, uint256 side) = (uint32(key >> 16), uint16(key), uint8(key >> 48));
        bool wrong = row >= claim.rows || key >> 88 > Claims.ENERGY || side > 1;
        if (!wrong) {
            _inTree(claim, leaf);
            require(leaf.index == row, NotNeighbours(leaf.index, row));
            _runs(leaf.row, runs);
            wrong = run >= RunWord.count(runs);
        }
        if (!wrong) {
            uint256 part = 2 * (key >> 88) + 1 - side;
            (uint256 due, int256 delta) = _stepOf(batchId, row, RunWord.read(runs, run), run, part);
            wrong = key != due || step.step.delta != delta;
        }
        _verdict(batchId, wrong, "stray step");
    }

    /// @inheritdoc IChallenges
    function provePriceRow(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        RowAt calldata leaf,
        IBundleMarket.BundleOrder calldata order,
        bytes calldata runs,
        bytes calldata marks,
        uint256 run
    ) external {
        _order(batchId, claim, leaf, order);
        _runs(leaf.row, runs);
        _marks(leaf.row, marks);
        uint256 word = RunWord.read(runs, run);
        bool wrong = FaultFinder.markIsWrong(_source(batchId), claim, order, word, marks, run);
        _verdict(batchId, wrong, "price row");
    }

    // --- shared

    function _source(uint64 batchId) private view returns (FaultFinder.Source memory) {
        return FaultFinder.Source(OPTIMISTIC, PriceRows.Cache(MARKET, batchId, 0, address(0)));
    }

    function _posted(uint64 batchId, IOptimisticMarket.Claim calldata claim) private view returns (uint256) {
        (bytes32 hash, uint64 postedAt, IOptimisticMarket.Status status) = OPTIMISTIC.claimState(batchId);
        require(status == IOptimisticMarket.Status.Posted, NotPosted(batchId));
        bytes32 given = Claims.hashOf(claim);
        require(given == hash, WrongClaim(batchId, given));
        return postedAt;
    }

    function _inTree(IOptimisticMarket.Claim calldata claim, RowAt calldata leaf) private pure {
        bool inside =
            leaf.index < claim.rows && Claims.rootOf(Claims.leafOf(leaf.row), leaf.index, leaf.path) == claim.rowsRoot;
        require(inside, NotInTree(0, leaf.index));
    }

    function _inTree(IOptimisticMarket.Claim calldata claim, StepAt calldata leaf) private pure {
        bool inside =
            leaf.index < claim.steps && Claims.rootOf(Claims.leafOf(leaf.step), leaf.index, leaf.path) == claim.stepsRoot;
        require(inside, NotInTree(1, leaf.index));
    }

    /// @dev A row of a posted claim and the order behind its hash.
    function _order(
        uint64 batchId,
        IOptimisticMarket.Claim calldata claim,
        RowAt calldata leaf,
        IBundleMarket.BundleOrder calldata order
    ) private view returns (uint256 postedAt) {
        postedAt = _posted(batchId, claim);
        _inTree(claim, leaf);
        bytes32 domain = keccak256(abi.encode(DOMAIN, NAME, VERSION, block.chainid, OPTIMISTIC));
        bytes32 hash = MessageHashUtils.toTypedDataHash(domain, order.hash());
        require(hash == leaf.row.orderHash, DataNotOfRow("order"));
    }

    function _runs(IOptimisticMarket.Row calldata row, bytes calldata runs) private pure {
        require(keccak256(runs) == row.runsHash, DataNotOfRow("runs"));
    }

    function _marks(IOptimisticMarket.Row calldata row, bytes calldata marks) private pure {
        require(keccak256(marks) == row.marksHash, DataNotOfRow("marks"));
    }

    /// @dev Whether `last` is the last step at or below `key`; false if all steps lie above, shown by the first.
    function _isLast(IOptimisticMarket.Claim calldata claim, StepAt calldata last, uint256 key)
        private
        pure
        returns (bool below)
    {
        if (claim.steps == 0) return false;
        _inTree(claim, last);
        below = last.step.key <= key;
        bool next = below ? key < last.step.nextKey : last.index == 0;
        require(next, NotNeighbours(last.index, key));
    }

    /// @dev Key and change of one of the four steps of a run.
    function _stepOf(uint64 batchId, uint256 row, uint256 word, uint256 run, uint256 part)
        private
        view
        returns (uint256 key, int256 delta)
    {
        (uint256 cell, uint256 size) = _cellOf(batchId, word, part >> 1);
        bool enters = part & 1 == 0;
        uint256 slot = enters ? word.startSlot() : word.endSlot();
        key = Claims.stepKey(part >> 1, cell, slot, enters ? 1 : 0, row, run);
        delta = enters ? int256(size) : -int256(size);
    }

    function _cellOf(uint64 batchId, uint256 word, uint256 kind) private view returns (uint256 cell, uint256 size) {
        if (kind == Claims.LANES) return (word.offerIdx(), word.lanes());
        IBundleMarket.OfferView memory offer = MARKET.computeOffer(batchId, uint16(word.offerIdx()));
        cell = 2 * uint256(offer.zoneId) + word.mode();
        size = word.lanes() * offer.energyWhPerVcuSlot;
    }

    /// @dev Hash of an order that every claim posted at `postedAt` had to contain.
    function _insisted(uint64 start, address maker, uint64 nonce, uint256 postedAt)
        private
        view
        returns (bytes32 hash)
    {
        uint64 since;
        uint64 expiry;
        uint32 epoch;
        (hash, since, expiry, epoch) = OPTIMISTIC.insisted(start, maker, nonce);
        bool due = since != 0 && since + OPTIMISTIC.insistLead() <= postedAt && expiry >= postedAt
            && !OPTIMISTIC.isWithdrawn(maker, nonce, epoch, postedAt);
        require(due, NotInsisted(maker, nonce));
    }

    function _verdict(uint64 batchId, bool wrong, bytes32 proof) private {
        require(wrong, NothingWrong());
        OPTIMISTIC.convict(batchId, msg.sender, proof);
    }
}
