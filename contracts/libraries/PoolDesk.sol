// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IBundleMarket} from "../interfaces/IBundleMarket.sol";
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
        uint16[] indices;
        uint256[] sold;
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
            positions.length == p.indices.length,
            ISettlement.PositionsIncomplete(positions.length, p.indices.length)
        );

        pool.metered = true;
        pool.deliveredWh = uint48(_meterPlants(s, c, p, positions));

        emit ISettlement.PoolMetered(batchId, slot, zoneId, pool.deliveredWh);

        c.post();
    }

    function payPool(
        SettlementState.State storage s,
        SettlementState.Wiring memory w,
        uint64 batchId,
        uint16 slot,
        uint16 zoneId
    ) external {
        SettlementBook.Context memory c = SettlementBook.open(w, batchId, 1 + w.market.batch(batchId).powerOffers);
        Plants memory p = _plants(c, slot, zoneId);
        ISettlement.Pool storage pool = s.poolOf(batchId, slot, zoneId, GREEN);
        require(!pool.paid, ISettlement.AlreadyPaid(batchId, slot, zoneId));
        _checkAllSettled(c, p, pool.settledWh, _sum(p.sold));

        pool.paid = true;
        for (uint256 i; i < p.indices.length; ++i) {
            p.delivered[i] = s.deliveredWh(batchId, slot, p.indices[i]);
        }

        emit ISettlement.PoolPaid(batchId, slot, zoneId, pool.moneyMicro, pool.matchedWh);

        _payPlants(c, p, pool);
        c.post();
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
        c.checkSlot(slot);
        (p.slot, p.zoneId) = (slot, zoneId);
        p.indices = c.w.market.greenOffers(c.batchId, zoneId);
        p.sold = new uint256[](p.indices.length);
        p.delivered = new uint256[](p.indices.length);
        if (p.indices.length == 0) return p;
        p.price = c.energyPrice(zoneId, GREEN, slot);
        for (uint256 i; i < p.indices.length; ++i) {
            p.sold[i] = c.w.market.soldWh(c.batchId, p.indices[i], slot);
        }
    }

    function _checkAllSettled(
        SettlementBook.Context memory c,
        Plants memory p,
        uint256 settledWh,
        uint256 soldWh
    ) private pure {
        bool all = settledWh == soldWh;
        require(all, ISettlement.PoolNotSettled(c.batchId, p.slot, p.zoneId, settledWh, soldWh));
    }

    function _meterPlants(
        SettlementState.State storage s,
        SettlementBook.Context memory c,
        Plants memory p,
        ISettlement.Position[] calldata positions
    ) private returns (uint256 sum) {
        (bool isFinal, bytes32 root,, uint256 finalAt) = c.report(p.slot);
        require(isFinal, ISettlement.ReportNotFinal(c.batchId, p.slot));
        for (uint256 i; i < positions.length; ++i) {
            IBundleMarket.PowerView memory offer = c.w.market.powerOffer(c.batchId, p.indices[i]);
            uint256 metered;
            if (positions[i].missing) {
                uint256 allowedAt = finalAt + c.w.missingGrace;
                require(block.timestamp >= allowedAt, ISettlement.MissingTooEarly(allowedAt));
            } else {
                metered = _checkReading(s, c, p.slot, offer.plantId, positions[i], root);
            }
            sum += _meterPlant(s, c, p, i, offer, metered);
        }
    }

    /// @dev Delivered Wh of one plant; its penalty, its surplus certificates, its negative-price money.
    function _meterPlant(
        SettlementState.State storage s,
        SettlementBook.Context memory c,
        Plants memory p,
        uint256 i,
        IBundleMarket.PowerView memory offer,
        uint256 metered
    ) private returns (uint256 delivered) {
        uint256 sold = p.sold[i];
        delivered = metered < sold ? metered : sold;
        s.setDelivered(c.batchId, p.slot, p.indices[i], delivered);

        uint256 entry = c.book.entryOf(offer.maker);
        int256 obligation = int256(BatchStore.obligationUp(sold, p.price));
        c.book.add(entry, 0, -obligation);
        c.book.add(c.self, obligation, 0);
        uint256 penalty = DeliveryMath.plantPenaltyUp(sold, delivered, p.price);
        (bool exists, uint256 grid) = c.gridOf(p.zoneId);
        penalty = exists ? c.penalise(entry, grid, penalty) : 0;

        emit ISettlement.PlantMetered(c.batchId, p.slot, p.indices[i], sold, metered, delivered, penalty);

        if (metered > sold) _mint(c, _certificateId(c, p.slot, offer), offer.maker, metered - sold);
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

    /// @dev Money and matched Wh by delivered share; matched Wh retired, the rest of the delivered Wh minted.
    function _payPlants(SettlementBook.Context memory c, Plants memory p, ISettlement.Pool memory pool) private {
        bool negative = pool.moneyMicro < 0;
        uint256 money = uint256(int256(negative ? -pool.moneyMicro : pool.moneyMicro));
        uint256[] memory shares = DeliveryMath.split(money, p.delivered);
        uint256[] memory matched = DeliveryMath.split(pool.matchedWh, p.delivered);
        for (uint256 i; i < p.indices.length; ++i) {
            int256 share = negative ? -int256(shares[i]) : int256(shares[i]);
            IBundleMarket.PowerView memory offer = c.w.market.powerOffer(c.batchId, p.indices[i]);
            _payPlant(c, c.book.entryOf(offer.maker), share, BatchStore.obligationUp(p.sold[i], p.price), pool.metered);
            uint256 rest = p.delivered[i] - matched[i];
            emit ISettlement.PlantPaid(c.batchId, p.slot, p.indices[i], share, matched[i], rest);
            _issue(c, p, offer, matched[i], rest);
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

    function _issue(
        SettlementBook.Context memory c,
        Plants memory p,
        IBundleMarket.PowerView memory offer,
        uint256 matched,
        uint256 rest
    ) private {
        uint256 id = _certificateId(c, p.slot, offer);
        bytes32 purpose = keccak256(abi.encode(c.batchId, p.slot, p.zoneId));
        if (matched != 0) c.w.certificates.mintRetired(id, matched, address(this), purpose);
        if (rest != 0) _mint(c, id, offer.maker, rest);
    }

    function _mint(SettlementBook.Context memory c, uint256 id, address account, uint256 amount) private {
        address[] memory accounts = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (accounts[0], amounts[0]) = (account, amount);
        c.w.certificates.mint(id, accounts, amounts);
    }

    function _certificateId(SettlementBook.Context memory c, uint256 slot, IBundleMarket.PowerView memory offer)
        private
        view
        returns (uint256)
    {
        return CertificateId.pack(
            CertificateId.CERTIFICATE, c.slotStart(slot), offer.zoneId, offer.source, address(this)
        );
    }

    function _sum(uint256[] memory values) private pure returns (uint256 sum) {
        for (uint256 i; i < values.length; ++i) {
            sum += values[i];
        }
    }
}
