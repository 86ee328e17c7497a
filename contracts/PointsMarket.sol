// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC1155} from "@openzeppelin/contracts/token/ERC1155/IERC1155.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IPointsMarket} from "./interfaces/IPointsMarket.sol";
import {ITreasury} from "./interfaces/ITreasury.sol";

/// @title PointsMarket
/// @notice See IPointsMarket: the interface is the document.
contract PointsMarket is IPointsMarket, EIP712 {
    bytes32 private constant OFFER = keccak256(
        "Offer(address maker,bool sell,address asset,uint256 id,uint128 amount,uint128 priceMicroPerThousand,address taker,"
        "uint64 nonce,uint32 epoch,uint64 expiry)"
    );
    uint256 private constant CANCELLED = type(uint256).max;

    ITreasury private immutable TREASURY;
    IERC1155 private immutable CERTIFICATES;

    mapping(address maker => mapping(uint64 nonce => uint256)) public override filledOf;
    mapping(address maker => uint32) public override epochOf;

    constructor(address treasury, address certificates) EIP712("BitWatt Points", "1") {
        TREASURY = ITreasury(treasury);
        CERTIFICATES = IERC1155(certificates);
    }

    /// @inheritdoc IPointsMarket
    function fill(Offer calldata offer, bytes calldata signature, uint256 amount)
        external
        returns (uint256 costMicro)
    {
        bytes32 hash = hashOffer(offer);
        uint256 filled = filledOf[offer.maker][offer.nonce];
        require(amount != 0, ZeroAmount());
        require(offer.asset == address(CERTIFICATES), WrongAsset(offer.asset, address(CERTIFICATES)));
        require(block.timestamp <= offer.expiry, OfferExpired(hash, offer.expiry));
        require(offer.epoch == epochOf[offer.maker], StaleEpoch(hash, offer.epoch, epochOf[offer.maker]));
        require(filled != CANCELLED, NonceCancelled(offer.maker, offer.nonce));
        require(offer.taker == address(0) || offer.taker == msg.sender, NotTaker(msg.sender, offer.taker));
        require(offer.maker != msg.sender, OwnOffer(offer.maker));
        uint256 remaining = offer.amount > filled ? offer.amount - filled : 0;
        require(amount <= remaining, AboveRemaining(hash, amount, remaining));
        bool valid = SignatureChecker.isValidSignatureNowCalldata(offer.maker, hash, signature);
        require(valid, BadSignature(offer.maker, hash));

        costMicro = costUp(amount, offer.priceMicroPerThousand);
        require(costMicro <= uint128(type(int128).max), CostTooLarge(costMicro));

        filledOf[offer.maker][offer.nonce] = filled + amount;

        emit Filled(
            hash, offer.maker, msg.sender, offer.asset, offer.id, offer.sell, amount, costMicro, filled + amount
        );

        (address seller, address buyer) = offer.sell ? (offer.maker, msg.sender) : (msg.sender, offer.maker);
        TREASURY.post(_payment(buyer, seller, costMicro));
        CERTIFICATES.safeTransferFrom(seller, buyer, offer.id, amount, "");
    }

    /// @inheritdoc IPointsMarket
    function cancel(uint64 nonce) external {
        filledOf[msg.sender][nonce] = CANCELLED;

        emit Cancelled(msg.sender, nonce);
    }

    /// @inheritdoc IPointsMarket
    function cancelAll() external {
        uint32 epoch = ++epochOf[msg.sender];

        emit AllCancelled(msg.sender, epoch);
    }

    function _payment(address buyer, address seller, uint256 costMicro)
        private
        pure
        returns (ITreasury.Posting[] memory list)
    {
        int128 cost = int128(uint128(costMicro));
        list = new ITreasury.Posting[](2);
        list[0] = ITreasury.Posting(buyer, -cost, 0);
        list[1] = ITreasury.Posting(seller, cost, 0);
    }

    /// @inheritdoc IPointsMarket
    function hashOffer(Offer calldata offer) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(OFFER, offer)));
    }

    /// @inheritdoc IPointsMarket
    function costUp(uint256 amount, uint256 priceMicroPerThousand) public pure returns (uint256) {
        return (amount * priceMicroPerThousand + 999) / 1000;
    }
}
