// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
import {ICertificates} from "../interfaces/ICertificates.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {AccountBook} from "./AccountBook.sol";
import {BatchStore} from "./BatchStore.sol";
import {CertificateId} from "./CertificateId.sol";
import {DeliveryMath} from "./DeliveryMath.sol";
import {SettlementBook} from "./SettlementBook.sol";
import {SettlementState} from "./SettlementState.sol";

/// @title The power side of a slot: metering the green plants, paying them, issuing certificates
/// @notice Linked into Settlement, which runs it on its own storage; it keeps Settlement below the size limit.
library PoolDesk {
    using AccountBook for AccountBook.Book;
    using SettlementBook for SettlementBook.Context;
    using SettlementState for SettlementState.State;

    uint256 private constant GENERATION = 1;
    uint8 private constant PLANT_METER = 2;
    uint256 private constant ACTUAL = 0;
    uint256 private constant GREEN = 1;
    uint256 private constant GREY = 0;

    /// @dev A pool while it is worked on: its plants in order, what each sold and delivered.
    struct Plants {
        uint16 slot;
        uint16 zoneId;
        int256 price;
        IBundleMarket.PoolPlant[] list;
        uint256[] sold;
        uint256 soldWh;
        uint256[] delivered;
    }

    function meterPool(
        SettlementState.State storage s,
        SettlementState.Wiring memory w,
        uint64 batchId,
        uint16 slot,
        uint16 zoneId,
        ISettlement.Position[] calldata positions
    ) external {
        SettlementBook.Context memory c = SettlementBook.open(w, batchId, positions.length);
        Plants memory p = _plants(c, slot, zoneId);
        ISettlement.Pool storage pool = s.poolOf(batchId, slot, zoneId, GREEN);
        require(!pool.metered, ISettlement.AlreadyMetered(batchId, slot, zoneId));
        require(
            positions.length == p.list.length, ISettlement.PositionsIncomplete(positions.length, p.list.length)
        );

        (uint256 sum, bool missing) = _meterPlants(s, c, p, positions);
        (pool.metered, pool.missing, pool.deliveredWh) = (true, missing, uint48(sum));
        if (missing || sum != p.soldWh) _keepDelivered(s, c, p);

        emit ISettlement.PoolMetered(batchId, slot, zoneId, sum);

        c.post();
    }

    function _keepDelivered(SettlementState.State storage s, SettlementBook.Context memory c, Plants memory p) private {
        for (uint256 i; i < p.list.length; ++i) {
            s.setDelivered(c.batchId, p.slot, p.list[i].index, p.delivered[i]);
        }
    }

    function meterMissing(
        SettlementState.State storage s,
        SettlementState.Wiring memory w,
        uint64 batchId,
        uint16 slot,
        uint16 zoneId,
        uint16 place,
        ISettlement.Position calldata position
    ) external {
        SettlementBook.Context memory c = SettlementBook.open(w, batchId, 1);
        Plants memory p = _plants(c, slot, zoneId);
        _showMissing(s, c, p, place, position);
        c.post();
    }

    function _showMissing(
        SettlementState.State storage s,
        SettlementBook.Context memory c,
        Plants memory p,
        uint256 place,
        ISettlement.Position calldata position
    ) private {
        ISettlement.Pool storage pool = s.poolOf(c.batchId, p.slot, p.zoneId, GREEN);
        bool due = place < p.list.length && pool.missing && !pool.paid
            && s.deliveredWh(c.batchId, p.slot, p.list[place].index) == SettlementState.MISSING;
        require(due, ISettlement.NotMissing(c.batchId, p.slot, p.zoneId, place));
        (bool isFinal, bytes32 root,,) = c.report(p.slot);
        require(isFinal, ISettlement.ReportNotFinal(c.batchId, p.slot));

        uint256 metered = _checkReading(s, c, p.slot, p.list[place].plantId, position, root);
        uint256 delivered = _meterPlant(c, p, place, metered);
        s.setDelivered(c.batchId, p.slot, p.list[place].index, delivered);
        pool.deliveredWh += uint48(delivered);
    }

    /// @dev Certificates of a plant are issued once for all slots of a month.
    function payPools(
        SettlementState.State storage s,
        SettlementState.Wiring memory w,
        uint64 batchId,
        uint16[] calldata slots,
        uint16 zoneId
    ) external {
        (IBundleMarket.PoolPlant[] memory plants, uint256[] memory sold) = w.market.poolPlants(batchId, zoneId, slots);
        SettlementBook.Context memory c = SettlementBook.open(w, batchId, 1 + plants.length);
        Plants memory p;
        (p.zoneId, p.list) = (zoneId, plants);
        (p.sold, p.delivered) = (new uint256[](plants.length), new uint256[](plants.length));
        ICertificates.Issue[] memory issues = new ICertificates.Issue[](plants.length);
        uint256 month;
        for (uint256 i; i < slots.length; ++i) {
            _openSlot(c, p, slots[i]);
            _setSold(p, sold, i * plants.length);
            uint256 here = CertificateId.yearMonth(c.slotStart(slots[i]));
            if (here != month) _name(c, p, issues, month = here);
            _paySlot(s, c, p, issues);
        }
        _issue(c, p, issues);
        c.post();
    }

    function _openSlot(SettlementBook.Context memory c, Plants memory p, uint16 slot) private view {
        c.checkSlot(slot);
        p.slot = slot;
        if (p.list.length != 0) p.price = c.energyPrice(p.zoneId, GREEN, slot);
    }

    function _paySlot(
        SettlementState.State storage s,
        SettlementBook.Context memory c,
        Plants memory p,
        ICertificates.Issue[] memory issues
    ) private {
        ISettlement.Pool storage at_ = s.poolOf(c.batchId, p.slot, p.zoneId, GREEN);
        ISettlement.Pool memory pool = at_;
        require(!pool.paid, ISettlement.AlreadyPaid(c.batchId, p.slot, p.zoneId));
        bool all = pool.settledWh == p.soldWh;
        require(all, ISettlement.PoolNotSettled(c.batchId, p.slot, p.zoneId, pool.settledWh, p.soldWh));

        at_.paid = true;
        _readDelivered(s, c, p, pool);

        emit ISettlement.PoolPaid(c.batchId, p.slot, p.zoneId, pool.moneyMicro, pool.matchedWh);

        _payPlants(c, p, pool, issues);
    }

    /// @dev What each plant delivered. One that is still missing has delivered nothing, and pays for it now.
    function _readDelivered(
        SettlementState.State storage s,
        SettlementBook.Context memory c,
        Plants memory p,
        ISettlement.Pool memory pool
    ) private {
        bool full = !pool.missing && pool.deliveredWh == p.soldWh;
        for (uint256 i; i < p.list.length; ++i) {
            uint256 wh = full ? p.sold[i] : s.deliveredWh(c.batchId, p.slot, p.list[i].index);
            if (wh == SettlementState.MISSING) {
                uint256 until = s.missingUntil[SettlementState.poolKey(c.batchId, p.slot, p.zoneId, GREEN)];
                bool over = block.timestamp >= until;
                require(over, ISettlement.MissingReplaceable(c.batchId, p.slot, p.zoneId, until));
                wh = _meterPlant(c, p, i, 0);
            }
            p.delivered[i] = wh;
        }
    }

    /// @notice Whether what a pool delivered cannot grow any more.
    function isMeteredForGood(SettlementState.State storage s, uint64 batchId, uint256 slot, uint256 zoneId)
        external
        view
        returns (bool)
    {
        if (!s.poolOf(batchId, slot, zoneId, GREEN).missing) return true;
        return block.timestamp >= s.missingUntil[SettlementState.poolKey(batchId, slot, zoneId, GREEN)];
    }

    /// @notice Wh of a plant in a slot; 0 where it was not metered or is missing.
    function deliveredWh(
        SettlementState.State storage s,
        IBundleMarket market,
        uint64 batchId,
        uint16 slot,
        uint16 index
    ) external view returns (uint256 wh) {
        uint16 zoneId = market.powerOffer(batchId, index).zoneId;
        ISettlement.Pool memory pool = s.poolOf(batchId, slot, zoneId, GREEN);
        if (!pool.metered) return 0;
        wh = s.deliveredWh(batchId, slot, index);
        if (wh == SettlementState.MISSING) return 0;
        if (pool.missing) return wh;
        uint16[] memory slots = new uint16[](1);
        slots[0] = slot;
        (, uint256[] memory sold) = market.poolPlants(batchId, zoneId, slots);
        if (_sum(sold) == pool.deliveredWh) return market.soldWh(batchId, index, slot);
    }

    function releaseGrid(
        SettlementState.State storage s,
        SettlementState.Wiring memory w,
        uint64 batchId,
        uint16 slot,
        uint16 zoneId
    ) external {
        SettlementBook.Context memory c = SettlementBook.open(w, batchId, 1);
        c.checkSlot(slot);
        (bool exists, uint256 grid) = c.gridOf(zoneId);
        ISettlement.Pool storage pool = s.poolOf(batchId, slot, zoneId, GREY);
        int256 price = c.energyPrice(zoneId, GREY, slot);
        require(exists && price < 0, ISettlement.NothingToRelease(batchId, slot, zoneId));
        require(!pool.paid, ISettlement.AlreadyPaid(batchId, slot, zoneId));
        uint256 sold = w.market.soldWh(batchId, uint16(w.market.gridOffer(batchId, zoneId) - 1), slot);
        bool all = pool.settledWh == sold;
        require(all, ISettlement.PoolNotSettled(batchId, slot, zoneId, pool.settledWh, sold));

        int256 left = int256(BatchStore.obligationUp(sold, price)) + pool.moneyMicro;
        c.book.add(grid, left, -left);

        pool.paid = true;

        emit ISettlement.GridReleased(batchId, slot, zoneId, uint256(left));

        c.post();
    }

    function _plants(SettlementBook.Context memory c, uint16 slot, uint16 zoneId)
        private
        view
        returns (Plants memory p)
    {
        p.zoneId = zoneId;
        uint16[] memory slots = new uint16[](1);
        slots[0] = slot;
        (p.list, p.sold) = c.w.market.poolPlants(c.batchId, zoneId, slots);
        p.soldWh = _sum(p.sold);
        p.delivered = new uint256[](p.list.length);
        _openSlot(c, p, slot);
    }

    /// @dev The plants' sold Wh of one slot out of those of all slots.
    function _setSold(Plants memory p, uint256[] memory sold, uint256 from) private pure {
        uint256 sum;
        for (uint256 i; i < p.sold.length; ++i) {
            p.sold[i] = sold[from + i];
            sum += sold[from + i];
        }
        p.soldWh = sum;
    }

    function _meterPlants(
        SettlementState.State storage s,
        SettlementBook.Context memory c,
        Plants memory p,
        ISettlement.Position[] calldata positions
    ) private returns (uint256 sum, bool missing) {
        (bool isFinal, bytes32 root,, uint256 finalAt) = c.report(p.slot);
        require(isFinal, ISettlement.ReportNotFinal(c.batchId, p.slot));
        for (uint256 i; i < positions.length; ++i) {
            if (positions[i].missing) {
                uint256 allowedAt = finalAt + c.w.missingGrace;
                require(block.timestamp >= allowedAt, ISettlement.MissingTooEarly(allowedAt));
                _markMissing(s, c, p, i);
                missing = true;
                continue;
            }
            uint256 metered = _checkReading(s, c, p.slot, p.list[i].plantId, positions[i], root);
            p.delivered[i] = _meterPlant(c, p, i, metered);
            sum += p.delivered[i];
        }
    }

    /// @dev Nothing is taken from a missing plant yet: its reading may still be shown for as long again.
    function _markMissing(
        SettlementState.State storage s,
        SettlementBook.Context memory c,
        Plants memory p,
        uint256 i
    ) private {
        uint256 until = block.timestamp + c.w.missingGrace;

        s.missingUntil[SettlementState.poolKey(c.batchId, p.slot, p.zoneId, GREEN)] = until;
        p.delivered[i] = SettlementState.MISSING;

        emit ISettlement.PlantMissing(c.batchId, p.slot, p.list[i].index, p.sold[i], until);
    }

    /// @dev Delivered Wh of one plant; its penalty, its surplus certificates, its negative-price money.
    function _meterPlant(SettlementBook.Context memory c, Plants memory p, uint256 i, uint256 metered)
        private
        returns (uint256 delivered)
    {
        IBundleMarket.PoolPlant memory plant = p.list[i];
        uint256 sold = p.sold[i];
        delivered = metered < sold ? metered : sold;
        if (delivered == SettlementState.MISSING) --delivered;

        uint256 entry = c.book.entryOf(plant.maker);
        int256 obligation = int256(BatchStore.obligationUp(sold, p.price));
        c.book.add(entry, 0, -obligation);
        c.book.add(c.self, obligation, 0);
        uint256 penalty = DeliveryMath.plantPenaltyUp(sold, delivered, p.price);
        if (penalty != 0) {
            (bool exists, uint256 grid) = c.gridOf(p.zoneId);
            penalty = exists ? c.penalise(entry, grid, penalty) : 0;
        }

        emit ISettlement.PlantMetered(c.batchId, p.slot, plant.index, sold, metered, delivered, penalty);

        if (metered > sold) {
            ICertificates.Issue[] memory surplus = new ICertificates.Issue[](1);
            uint256 month = CertificateId.yearMonth(c.slotStart(p.slot));
            surplus[0] = ICertificates.Issue(
                _certificateId(month, p.zoneId, plant.source), plant.maker, uint128(metered - sold), 0
            );
            c.w.certificates.issue(surplus, address(0), 0);
        }
    }

    /// @dev Wh of a valid reading of the plant's own meter, once an interval; only actual values count.
    function _checkReading(
        SettlementState.State storage s,
        SettlementBook.Context memory c,
        uint256 slot,
        uint32 plantId,
        ISettlement.Position calldata position,
        bytes32 root
    ) private returns (uint256 metered) {
        ISettlement.Reading calldata r = position.reading;
        bool exact = r.start == c.slotStart(slot) && r.end == c.slotStart(slot + 1);
        require(r.kind == GENERATION, ISettlement.ReadingKind(r.kind));
        require(exact, ISettlement.ReadingInterval(r.start, r.end));
        _checkMeter(c, r.meterId, plantId, r.end);
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(r))));
        bool inside = MerkleProof.verifyCalldata(position.proof, root, leaf);
        require(inside, ISettlement.ReadingNotInReport(r.meterId, root));

        s.useMeter(r.meterId, r.start, r.end);

        if (r.quality != ACTUAL) return 0;
        metered = r.quantity / 1000;
        uint256 most = uint256(c.w.registry.plant(plantId).nameplateW) * c.batch.slotSeconds / 3600;
        return metered < most ? metered : most;
    }

    /// @dev The meter is attested at the end of the slot and belongs to the plant.
    function _checkMeter(SettlementBook.Context memory c, uint256 meterId, uint32 plantId, uint256 end)
        private
        view
    {
        require(meterId <= type(uint32).max, ISettlement.ReadingMeter(meterId, plantId));
        (uint64 attestedUntil, uint32 assetId, uint8 assetKind,) = c.w.registry.meterBinding(uint32(meterId));
        bool bound = assetKind == PLANT_METER && assetId == plantId;
        require(bound, ISettlement.ReadingMeter(meterId, plantId));
        require(attestedUntil >= end, ISettlement.MeterNotAttested(meterId, attestedUntil));
    }

    /// @dev Money and matched Wh by delivered share; matched Wh to be retired, the rest of the delivered Wh to be minted.
    function _payPlants(
        SettlementBook.Context memory c,
        Plants memory p,
        ISettlement.Pool memory pool,
        ICertificates.Issue[] memory issues
    ) private {
        bool negative = pool.moneyMicro < 0;
        uint256 money = uint256(int256(negative ? -pool.moneyMicro : pool.moneyMicro));
        uint256[] memory shares = DeliveryMath.split(money, p.delivered);
        uint256[] memory matched = DeliveryMath.split(pool.matchedWh, p.delivered);
        for (uint256 i; i < p.list.length; ++i) {
            int256 share = negative ? -int256(shares[i]) : int256(shares[i]);
            IBundleMarket.PoolPlant memory plant = p.list[i];
            _payPlant(c, c.book.entryOf(plant.maker), share, BatchStore.obligationUp(p.sold[i], p.price), pool.metered);
            uint256 rest = p.delivered[i] - matched[i];
            emit ISettlement.PlantPaid(c.batchId, p.slot, plant.index, share, matched[i], rest);
            unchecked {
                // Wh are below 2^32 a slot
                issues[i].minted += uint128(rest);
                issues[i].retired += uint128(matched[i]);
            }
        }
    }

    /// @dev The share, and the return of what was locked for a negative price: metering moved it to this contract's
    /// account; without metering it still is in the seller's lock.
    function _payPlant(
        SettlementBook.Context memory c,
        uint256 entry,
        int256 share,
        uint256 obligationMicro,
        bool metered
    ) private pure {
        int256 obligation = int256(obligationMicro);
        c.book.add(entry, share + obligation, metered ? int256(0) : -obligation);
        c.book.add(c.self, metered ? -share - obligation : -share, 0);
    }

    /// @dev Issues what was collected for another month, and names whose certificates of which id come next.
    function _name(
        SettlementBook.Context memory c,
        Plants memory p,
        ICertificates.Issue[] memory issues,
        uint256 month
    ) private {
        _issue(c, p, issues);
        for (uint256 i; i < issues.length; ++i) {
            (issues[i].id, issues[i].account) = (_certificateId(month, p.zoneId, p.list[i].source), p.list[i].maker);
        }
    }

    /// @dev Issues what was collected, if anything, and starts anew.
    function _issue(SettlementBook.Context memory c, Plants memory p, ICertificates.Issue[] memory issues) private {
        uint256 any;
        for (uint256 i; i < issues.length; ++i) {
            any |= issues[i].minted | issues[i].retired;
        }
        if (any == 0) return;
        c.w.certificates.issue(issues, address(this), keccak256(abi.encode(c.batchId, p.zoneId)));
        for (uint256 i; i < issues.length; ++i) {
            (issues[i].minted, issues[i].retired) = (0, 0);
        }
    }

    function _certificateId(uint256 month, uint256 zoneId, uint256 source) private view returns (uint256) {
        return CertificateId.packMonth(CertificateId.CERTIFICATE, month, zoneId, source, address(this));
    }

    function _sum(uint256[] memory values) private pure returns (uint256 sum) {
        for (uint256 i; i < values.length; ++i) {
            sum += values[i];
        }
    }
}
