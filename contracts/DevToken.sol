// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title Settlement token of dev chains
/// @notice Six decimals, open faucet. Cannot be deployed off chain id 31337.
contract DevToken is ERC20 {
    error NotDevChain(uint256 chainId);

    constructor() ERC20("BitWatt Dev Dollar", "BWD") {
        require(block.chainid == 31337, NotDevChain(block.chainid));
    }

    /// @notice Mints to anyone, any amount in micro-units.
    function mint(address to, uint256 amountMicro) external {
        _mint(to, amountMicro);
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
