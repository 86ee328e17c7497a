// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDeliveryOracle} from "../interfaces/IDeliveryOracle.sol";

/// @title The committee in office and the one that is announced
/// @notice n >= 3f + 1 and quorum >= 2f + 1: two quorums share an honest member.
library CommitteeLib {
    uint256 private constant MOST_MEMBERS = 31;

    /// @param place index in `list` + 1, zero for others and for slashed members
    /// @param leftAt when the account left the committee; its bond answers for equivocation a while longer
    struct Member {
        uint8 place;
        bool bonded;
        uint64 leftAt;
    }

    /// @param known digests of every committee that was ever in office
    /// @param nextAt when the announced committee may take office, zero if none is announced
    struct State {
        address[] list;
        uint256 quorum;
        bytes32 digest;
        mapping(address account => Member) memberOf;
        mapping(bytes32 digest => bool) known;
        address[] nextList;
        uint256 nextQuorum;
        uint64 nextAt;
    }

    function check(address[] memory members, uint256 quorum) internal pure {
        uint256 n = members.length;
        bool sound = n <= MOST_MEMBERS && quorum <= n && 3 * quorum > 2 * n;
        require(sound, IDeliveryOracle.CommitteeTooSmall(n, quorum));
        address previous;
        for (uint256 i; i < n; ++i) {
            require(members[i] > previous, IDeliveryOracle.MembersNotAscending(members[i]));
            previous = members[i];
        }
    }

    /// @notice Puts a checked committee in office. Bonds of members that stay, stay.
    /// @param free true where no bond is asked
    function install(State storage s, address[] memory members, uint256 quorum, bool free) internal {
        for (uint256 i; i < s.list.length; ++i) {
            Member storage old = s.memberOf[s.list[i]];
            if (old.place == 0) continue; // slashed
            (old.place, old.leftAt) = (0, uint64(block.timestamp));
        }
        for (uint256 i; i < members.length; ++i) {
            Member storage member = s.memberOf[members[i]];
            (member.place, member.leftAt) = (uint8(i + 1), 0);
            if (free) member.bonded = true;
        }
        s.list = members;
        s.quorum = quorum;
        s.digest = keccak256(abi.encode(block.chainid, address(this), members, quorum));
        s.known[s.digest] = true;

        emit IDeliveryOracle.CommitteeInstalled(s.digest, members, quorum);
    }

    function announce(State storage s, address[] memory members, uint256 quorum, uint256 delay) internal {
        check(members, quorum);
        uint64 from = uint64(block.timestamp + delay);

        s.nextList = members;
        s.nextQuorum = quorum;
        s.nextAt = from;

        emit IDeliveryOracle.CommitteeAnnounced(members, quorum, from);
    }

    /// @notice Puts the announced committee in office once its delay is over and a quorum of it has bonds.
    function takeOffice(State storage s, bool free) internal {
        require(s.nextAt != 0, IDeliveryOracle.NoCommitteeAnnounced());
        require(block.timestamp >= s.nextAt, IDeliveryOracle.CommitteeTooEarly(s.nextAt));
        address[] memory members = s.nextList;
        uint256 bonds;
        for (uint256 i; i < members.length; ++i) {
            if (free || s.memberOf[members[i]].bonded) ++bonds;
        }
        require(bonds >= s.nextQuorum, IDeliveryOracle.CommitteeNotBonded(bonds, s.nextQuorum));
        uint256 quorum = s.nextQuorum;

        drop(s);
        install(s, members, quorum, free);
    }

    /// @notice Forgets the announcement.
    function drop(State storage s) internal {
        delete s.nextList;
        (s.nextQuorum, s.nextAt) = (0, 0);
    }

    /// @notice Whether an account is in office or announced.
    function belongs(State storage s, address account) internal view returns (bool) {
        if (s.memberOf[account].place != 0) return true;
        for (uint256 i; i < s.nextList.length; ++i) {
            if (s.nextList[i] == account) return true;
        }
        return false;
    }
}
