"""Carbon arithmetic with numbers worked by hand."""

from __future__ import annotations

import pytest

from backend.carbon.accounting import (
    CarbonError,
    Credit,
    avoided,
    certificates_wh,
    cfe_ppm,
    location_based_mg,
    market_based_mg,
    matched_wh,
    software_intensity_mg,
)
from backend.carbon.factors import mix_intensity_mg_per_kwh


def test_matching_is_per_slot_and_an_excess_does_not_carry_over() -> None:
    assert matched_wh([10, 10, 0], [30, 0, 5]) == [10, 0, 0]
    assert cfe_ppm([10, 10, 0], [30, 0, 5]) == 500_000
    assert cfe_ppm([10, 10], [10, 0], [0, 400_000]) == 700_000
    assert cfe_ppm([0], [5]) == 0


def test_both_scope_two_methods() -> None:
    assert location_based_mg([100, 50], [400, 600]) == 70_000
    # 60 of 100 Wh by wind certificates, the rest at the residual mix, never at the average
    assert market_based_mg([100], [60], [11], 586) == 60 * 11 + 40 * 586
    assert market_based_mg([100], [0], [0]) == 82_000
    with pytest.raises(CarbonError, match="cancelled_wh"):
        market_based_mg([100], [101], [11])


def test_avoided_emissions_keep_their_remainder_and_never_go_below_zero() -> None:
    assert avoided(3, 550, 43) == Credit(1, 521)
    assert avoided(1, 550, 43, 521) == Credit(1, 28)
    assert avoided(100, 20, 43, 7) == Credit(0, 7)


def test_certificates_and_software_intensity() -> None:
    assert certificates_wh(1_999) == 1
    assert software_intensity_mg(10, 500, 1, 3) == 1667
    for call in (
        lambda: certificates_wh(-1),
        lambda: software_intensity_mg(1, 1, 1, 0),
        lambda: avoided(-1, 1, 1),
    ):
        with pytest.raises(CarbonError):
            call()


def test_mix_intensity_of_a_real_hour() -> None:
    mix = {"wind_mw": 3751, "solar_mw": 1259, "hydro_mw": 116, "oil_mw": 0}
    mix |= {"gas_mw": 23369, "coal_mw": 8091, "nuclear_mw": 5111, "other_mw": 122}
    assert mix_intensity_mg_per_kwh(mix) == 436_894
