// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Vm} from "./Vm.sol";

/// @title Assertions that name what differs
abstract contract Check {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @dev What forge prints beside a test.
    event log_named_uint(string name, uint256 value);

    error NotEqual(string what, uint256 actual, uint256 expected);
    error NotEqualSigned(string what, int256 actual, int256 expected);
    error NotEqualHash(string what, bytes32 actual, bytes32 expected);
    error NotEqualAddress(string what, address actual, address expected);
    error NotTrue(string what);

    function eq(uint256 actual, uint256 expected, string memory what) internal pure {
        if (actual != expected) revert NotEqual(what, actual, expected);
    }

    function eqSigned(int256 actual, int256 expected, string memory what) internal pure {
        if (actual != expected) revert NotEqualSigned(what, actual, expected);
    }

    function eqHash(bytes32 actual, bytes32 expected, string memory what) internal pure {
        if (actual != expected) revert NotEqualHash(what, actual, expected);
    }

    function eqAddress(address actual, address expected, string memory what) internal pure {
        if (actual != expected) revert NotEqualAddress(what, actual, expected);
    }

    function isTrue(bool condition, string memory what) internal pure {
        if (!condition) revert NotTrue(what);
    }

    /// @notice `value` folded into [low, high]; values already inside stay.
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        if (value >= low && value <= high) return value;
        uint256 size = high - low + 1;
        return size == 0 ? value : low + value % size;
    }

    function boundSigned(int256 value, int256 low, int256 high) internal pure returns (int256) {
        return low + int256(bound(uint256(value) >> 1, 0, uint256(high - low)));
    }

    /// @notice The error data of a custom error, for expectRevert.
    function fails(bytes memory data) internal {
        vm.expectRevert(data);
    }
}
