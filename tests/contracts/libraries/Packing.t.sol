// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ITreasury} from "../../../contracts/interfaces/ITreasury.sol";
import {AccountBook} from "../../../contracts/libraries/AccountBook.sol";
import {Blob} from "../../../contracts/libraries/Blob.sol";
import {ByteReader} from "../../../contracts/libraries/ByteReader.sol";
import {OfferWord} from "../../../contracts/libraries/OfferWord.sol";
import {Packed} from "../../../contracts/libraries/Packed.sol";
import {RunWord} from "../../../contracts/libraries/RunWord.sol";
import {Check} from "../support/Check.sol";

/// @dev Each packed form against a plain loop.
contract PackingTest is Check {
    using AccountBook for AccountBook.Book;

    function slowRead(bytes memory data, uint256 offset, uint256 size) internal pure returns (uint256 value) {
        for (uint256 i; i < size; ++i) {
            value = value * 256 + uint8(data[offset + i]);
        }
    }

    function test_ByteReader_reads_like_a_loop(bytes memory noise, uint256 offset) public pure {
        bytes memory data = bytes.concat(noise, hex"0102030405060708");
        offset = bound(offset, 0, data.length - 4);
        eq(ByteReader.uint32At(data, offset), slowRead(data, offset, 4), "uint32");
        eq(ByteReader.uint16At(data, offset), slowRead(data, offset, 2), "uint16");
        eqSigned(ByteReader.int32At(data, offset), int32(uint32(slowRead(data, offset, 4))), "int32");
        bytes memory part = new bytes(4);
        for (uint256 i; i < 4; ++i) {
            part[i] = data[offset + i];
        }
        eqHash(ByteReader.hashOf(data, offset, 4), keccak256(part), "hash");
    }

    function test_Blob_keeps_bytes(bytes memory data, uint256 from, uint256 size) public {
        address pointer = Blob.write(data);
        eq(Blob.length(pointer), data.length, "length");
        from = bound(from, 0, data.length);
        size = bound(size, 0, data.length - from);
        bytes memory copy = new bytes(size + 3);
        Blob.copy(pointer, from, size, copy, 2);
        for (uint256 i; i < size; ++i) {
            isTrue(copy[2 + i] == data[from + i], "byte");
        }
        isTrue(copy[0] == 0 && copy[1] == 0 && copy[size + 2] == 0, "and nothing around it");
    }

    function test_Blob_refuses_to_read_or_write_outside() public {
        address pointer = this.write(hex"0102");
        fails(abi.encodeWithSelector(Blob.BlobTooShort.selector, pointer, 3));
        this.copyOut(pointer, 3, 3);
        fails(abi.encodeWithSelector(Blob.BlobTooLarge.selector, 2));
        this.copyOut(pointer, 2, 1);
        fails(abi.encodeWithSelector(Blob.BlobTooLarge.selector, 24_576));
        this.write(new bytes(24_576));
        (bool success, bytes memory answer) = pointer.call("");
        isTrue(success && answer.length == 0, "calling a blob does nothing");
    }

    function write(bytes memory data) external returns (address) {
        return Blob.write(data);
    }

    function copyOut(address pointer, uint256 size, uint256 room) external view {
        Blob.copy(pointer, 0, size, new bytes(room), 0);
    }

    function test_Packed_spreads_like_a_loop(uint16 value, uint256 from, uint256 to, uint64 wide) public pure {
        from = bound(from, 0, 16);
        to = bound(to, from, 16);
        uint256 word = Packed.spread16(value, from, to);
        for (uint256 i; i < 16; ++i) {
            eq(Packed.get16(word, i), i >= from && i < to ? value : 0, "16-bit field");
        }
        (from, to) = (from / 4, to / 4);
        word = Packed.spread64(wide, from, to);
        for (uint256 i; i < 4; ++i) {
            eq(uint64(word >> (64 * i)), i >= from && i < to ? wide : 0, "64-bit field");
        }
    }

    function test_Packed_compares_like_a_loop(uint16[16] memory fields, uint256 cap) public pure {
        cap = bound(cap, 1, 32_767);
        uint256 word;
        bool all = true;
        for (uint256 i; i < 16; ++i) {
            uint256 field = bound(fields[i], 0, 2 * cap);
            word |= field << (16 * i);
            all = all && field <= cap;
        }
        isTrue(Packed.allAtMost16(word, cap) == all, "allAtMost16");
    }

    function test_Packed_finds_the_one_field_above(uint256 cap, uint256 index, uint256 other) public pure {
        cap = bound(cap, 1, 32_767);
        index = bound(index, 0, 15);
        uint256 word = Packed.spread16(bound(other, 0, cap), 0, 16);
        isTrue(Packed.allAtMost16(word, cap), "all at most the cap");
        word = (word & ~(uint256(0xffff) << (16 * index))) | ((cap + 1) << (16 * index));
        isTrue(!Packed.allAtMost16(word, cap), "one above");
    }

    function test_Packed_set32_changes_one_field(uint256 word, uint256 index, uint32 value) public pure {
        index = bound(index, 0, 7);
        uint256 changed = Packed.set32(word, index, value);
        for (uint256 i; i < 8; ++i) {
            eq(Packed.get32(changed, i), i == index ? value : Packed.get32(word, i), "field");
        }
    }

    /// @dev Whole-word sums of signed fields give the fields back, and zero only if all are zero.
    function test_Packed_signed_fields_survive_borrows(int64[4] memory fields) public pure {
        uint256 word;
        unchecked {
            for (uint256 i; i < 4; ++i) {
                int256 field = fields[i] == type(int64).min ? int256(0) : int256(fields[i]);
                word += uint256(field << (64 * i));
            }
        }
        bool zero = true;
        for (uint256 i; i < 4; ++i) {
            int256 field = fields[i] == type(int64).min ? int256(0) : int256(fields[i]);
            eqSigned(Packed.signed64(word, i), field, "field");
            zero = zero && field == 0;
        }
        isTrue((word == 0) == zero, "zero");
    }

    function test_RunWord_reads_its_fields(uint16[4] memory a, uint8 mode, uint32 lanes) public view {
        bytes memory runs = bytes.concat(new bytes(13), abi.encodePacked(a[0], a[1], mode, a[2], a[3], lanes));
        uint256 run = this.readRun(runs, 1);
        eq(RunWord.orderIdx(run), a[0], "order");
        eq(RunWord.offerIdx(run), a[1], "offer");
        eq(RunWord.mode(run), mode, "mode");
        eq(RunWord.startSlot(run), a[2], "start");
        eq(RunWord.endSlot(run), a[3], "end");
        eq(RunWord.lanes(run), lanes, "lanes");
    }

    function readRun(bytes calldata runs, uint256 index) external pure returns (uint256) {
        return RunWord.read(runs, index);
    }

    function test_OfferWord_keeps_its_fields(address maker, uint32 site, uint8 class, uint8 zone, uint16[3] memory n)
        public
        pure
    {
        uint256 a = OfferWord.packA(maker, site, class, zone, n[0], n[1], n[2]);
        eqAddress(OfferWord.maker(a), maker, "maker");
        eq(OfferWord.site(a), site, "site");
        eq(OfferWord.classId(a), class, "class");
        eq(OfferWord.zoneId(a), zone, "zone");
        eq(OfferWord.capacity(a), n[0], "capacity");
        eq(OfferWord.openSlot(a), n[1], "open");
        eq(OfferWord.closeSlot(a), n[2], "close");
        uint256 b = OfferWord.packB(n[0], site);
        eq(OfferWord.ask(b), n[0], "ask");
        eq(OfferWord.energy(b), site, "energy");
    }

    function test_AccountBook_keeps_one_entry_an_account(uint8[20] memory seeds) public {
        AccountBook.Book memory book = AccountBook.create(20);
        int256[256] memory plain;
        for (uint256 i; i < 20; ++i) {
            uint256 entry = book.entryOf(address(uint160(seeds[i]) + 1));
            eqAddress(book.accounts[entry], address(uint160(seeds[i]) + 1), "account");
            book.add(entry, int256(i), -int256(i));
            plain[seeds[i]] += int256(i);
        }
        ITreasury.Posting[] memory list = book.postings();
        for (uint256 i; i < list.length; ++i) {
            uint256 seed = uint160(list[i].account) - 1;
            eqSigned(list[i].available, plain[seed], "available");
            eqSigned(list[i].locked, -plain[seed], "locked");
            plain[seed] = 0;
        }
        for (uint256 i; i < 256; ++i) {
            eqSigned(plain[i], 0, "no account is lost");
        }
        fails(abi.encodeWithSelector(AccountBook.BookFull.selector, 0));
        this.overfill();
    }

    function overfill() external pure {
        AccountBook.create(0).entryOf(address(1));
    }
}
