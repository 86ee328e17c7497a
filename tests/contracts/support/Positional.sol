// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Merkle trees by position, missing leaves zero
library Positional {
    function root(bytes32[] memory leaves, uint256 height) internal pure returns (bytes32) {
        return _levels(leaves, height)[height][0];
    }

    function path(bytes32[] memory leaves, uint256 height, uint256 index)
        internal
        pure
        returns (bytes32[] memory list)
    {
        bytes32[][] memory levels = _levels(leaves, height);
        list = new bytes32[](height);
        for (uint256 i; i < height; ++i) {
            list[i] = levels[i][(index >> i) ^ 1];
        }
    }

    function heightOf(uint256 count) internal pure returns (uint256 height) {
        while (uint256(1) << height < count) ++height;
    }

    function _levels(bytes32[] memory leaves, uint256 height) private pure returns (bytes32[][] memory levels) {
        levels = new bytes32[][](height + 1);
        levels[0] = new bytes32[](uint256(1) << height);
        for (uint256 i; i < leaves.length; ++i) {
            levels[0][i] = leaves[i];
        }
        for (uint256 h; h < height; ++h) {
            levels[h + 1] = new bytes32[](levels[h].length / 2);
            for (uint256 i; i < levels[h + 1].length; ++i) {
                levels[h + 1][i] = keccak256(abi.encodePacked(levels[h][2 * i], levels[h][2 * i + 1]));
            }
        }
    }
}
