// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Certificates and credits sold by signed offers
/// @notice A maker signs an offer to sell or to buy units of one certificate or credit id; anyone (or the named taker)
/// fills it, whole or in parts, until it expires, is cancelled or is filled. Units and money change hands in one
/// transaction or not at all: units by ERC-1155 transfer (the giver has approved this contract), money in the
/// Treasury's ledger.
/// Units: certificates Wh, credits g CO2e; price micro-units of the settlement token per 1,000 units (kWh, kg).
/// Rounding: the cost of a fill is rounded up, so many small fills never pay a seller less than one large.
/// Powers of anyone else: none; there is no owner, no fee, no pause.
/// Assumes for safety: nothing beyond Treasury and Certificates. Assumes for liveness: nothing; withdrawing an offer
/// needs no other party.
interface IPointsMarket {
    /// @param maker who signed; @param sell true: the maker gives units, false: the maker pays
    /// @param asset the Certificates contract; @param id of what is sold
    /// @param amount units over all fills; @param taker who may fill, zero for anyone
    /// @param nonce identifies the offer of this maker; fills and cancellation are kept under it
    /// @param expiry last unix second at which it can be filled
    struct Offer {
        address maker;
        bool sell;
        address asset;
        uint256 id;
        uint128 amount;
        uint128 priceMicroPerThousand;
        address taker;
        uint64 nonce;
        uint32 epoch;
        uint64 expiry;
    }

    event Filled(
        bytes32 indexed offerHash,
        address indexed maker,
        address indexed taker,
        address asset,
        uint256 id,
        bool makerSells,
        uint256 amount,
        uint256 costMicro,
        uint256 filledTotal
    );
    event Cancelled(address indexed maker, uint64 nonce);
    event AllCancelled(address indexed maker, uint32 epoch);

    error ZeroAmount();
    error WrongAsset(address given, address expected);
    error OfferExpired(bytes32 offerHash, uint64 expiry);
    error StaleEpoch(bytes32 offerHash, uint32 given, uint32 current);
    error NonceCancelled(address maker, uint64 nonce);
    error NotTaker(address caller, address taker);
    error OwnOffer(address maker);
    error AboveRemaining(bytes32 offerHash, uint256 amount, uint256 remaining);
    error BadSignature(address maker, bytes32 offerHash);
    error CostTooLarge(uint256 costMicro);

    /// @notice Fills `amount` units of an offer; the caller is the other side.
    /// @param signature of the maker: 65 bytes with low s, or what the maker's EIP-1271 wallet accepts
    /// @return costMicro what the buyer paid
    function fill(Offer calldata offer, bytes calldata signature, uint256 amount)
        external
        returns (uint256 costMicro);

    /// @notice Cancels one nonce of the caller, for ever.
    function cancel(uint64 nonce) external;

    /// @notice Cancels everything the caller has signed so far: offers must carry the new epoch from now on.
    function cancelAll() external;

    /// @notice Units filled under a nonce; all ones when it is cancelled.
    function filledOf(address maker, uint64 nonce) external view returns (uint256);
    function epochOf(address maker) external view returns (uint32);
    function hashOffer(Offer calldata offer) external view returns (bytes32 digest);
    /// @notice Cost of units at a price, rounded up.
    function costUp(uint256 amount, uint256 priceMicroPerThousand) external pure returns (uint256 costMicro);
}
