"""Times, amounts, shares and quantities as people write them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from bitwatt.client import Wallet, WalletError
from bitwatt.client.times import BadText, parse_money, parse_share, parse_time, show_money, split_quantity

NOW = datetime(2026, 5, 1, 15, 30, tzinfo=timezone(timedelta(hours=8)))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("now", NOW),
        ("+6h", NOW + timedelta(hours=6)),
        ("tomorrow-09:00", datetime(2026, 5, 2, 9, tzinfo=NOW.tzinfo)),
        ("today-18:15", datetime(2026, 5, 1, 18, 15, tzinfo=NOW.tzinfo)),
        ("+3d-09:00", datetime(2026, 5, 4, 9, tzinfo=NOW.tzinfo)),
        ("2026-05-02T09:00", datetime(2026, 5, 2, 9, tzinfo=NOW.tzinfo)),
        ("2026-05-02T09:00+00:00", datetime(2026, 5, 2, 17, tzinfo=NOW.tzinfo)),
        ("1777777777", datetime.fromtimestamp(1_777_777_777, NOW.tzinfo)),
    ],
)
def test_times(text: str, wanted: datetime) -> None:
    assert parse_time(text, NOW) == int(wanted.timestamp())


@pytest.mark.parametrize("text", ["noon", "tomorrow-25:00", "tomorrow", "", "+6w", "09:00"])
def test_what_is_no_time_is_said_with_an_example(text: str) -> None:
    with pytest.raises(BadText, match="write"):
        parse_time(text, NOW)


def test_money_and_shares_are_exact() -> None:
    assert parse_money("1.20") == 1_200_000 and parse_money("0.000001") == 1
    assert parse_share("80%") == 8_000 and parse_share("0.8") == 8_000 and parse_share("12.5%") == 1_250
    assert show_money(1_200_000) == "1.2" and show_money(1) == "0.000001" and show_money(5_000_000) == "5"
    for text in ("1.0000001", "-1", "NaN", "a", "Infinity"):
        with pytest.raises(BadText):
            parse_money(text)
    for text in ("101%", "-1%", "x", "33.333%"):
        with pytest.raises(BadText):
            parse_share(text)


def test_a_quantity_is_split_exactly() -> None:
    assert split_quantity(800, 96, None, None) == (20, 40)
    assert split_quantity(800, 96, 8, None) == (8, 100)
    assert split_quantity(800, 96, None, 4) == (200, 4)
    assert split_quantity(7, 96, None, None) == (1, 7)
    for arguments in ((800, 0, None, None), (800, 96, 7, None), (800, 96, 8, 4)):
        with pytest.raises(BadText):
            split_quantity(*arguments)


def test_a_wallet_file_is_encrypted_private_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    made = Wallet.create(path, "correct horse")
    assert path.stat().st_mode & 0o077 == 0
    assert Wallet.load(path, "correct horse").address == made.address
    assert Wallet.address_in(path).lower() == made.address.lower()
    with pytest.raises(WalletError, match="password"):
        Wallet.load(path, "wrong")
    with pytest.raises(WalletError, match="there already"):
        Wallet.create(path, "x")
    with pytest.raises(WalletError):
        Wallet.load(tmp_path / "none.json", "x")
