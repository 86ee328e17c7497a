"""Corruptions of settlement, pools, ledger and certificates, each noticed by the check named for it."""

from __future__ import annotations

from tests.unit.audit.audit_cases import (
    SETTLEMENT,
    Case,
    dropped,
    edited,
    leaf_word,
    missing_position,
    repeated,
    second_settlement,
    views,
    voided,
    withdraw,
)
from tests.unit.audit.audit_world import ADDRESSES, CREDIT_KEY, START, account

CASES = (
    # --- settlement
    Case(
        "settlement.outcomes",
        "slot 1",
        after=edited(SETTLEMENT, "SlotSettled", 1, outcomes=bytes(8)),
    ),
    Case("settlement.final", "not before", {"wait": lambda seconds: 0}),
    Case("settlement.final", "voided", after=voided),
    Case("settlement.bounds", "milli-lanes", {"outcomes": lambda packed: b"\0\0\xff\xff" + packed[4:]}),
    Case(
        "settlement.bounds",
        "Wh matched",
        {"outcomes": lambda packed: packed[:4] + b"\0\0\xff\xff" + packed[8:]},
    ),
    Case("settlement.payment", "refundMicro", after=edited(SETTLEMENT, "SlotSettled", 1, refundMicro=2_541)),
    Case("settlement.payment", "computeMicro", after=edited(SETTLEMENT, "SlotSettled", 0, computeMicro=299)),
    Case("settlement.penalty", "penaltyMicro", after=edited(SETTLEMENT, "SlotSettled", 1, penaltyMicro=39)),
    Case("settlement.refund", "slot 1", after=second_settlement("SlotRefunded", refundMicro=1)),
    Case("settlement.once", "slot 1", after=repeated(SETTLEMENT, "SlotSettled", 1)),
    Case("settlement.once", "neither", after=dropped(SETTLEMENT, "SlotSettled", 1)),
    # --- pools
    Case("pools.leaf", "not proven", {"position": leaf_word(quantity=1)}),
    Case("pools.twin", "meter 103 seq 2", {"position": leaf_word(quantity=1)}),
    Case("pools.metered", "meteredWh", after=edited(SETTLEMENT, "PlantMetered", 1, meteredWh=151)),
    Case("pools.metered", "marked missing", {"position": missing_position}),
    Case("pools.metered", "PlantMetered", after=dropped(SETTLEMENT, "PlantMetered", 1)),
    Case("pools.penalty", "3750", after=edited(SETTLEMENT, "PlantMetered", 1, penaltyMicro=3_751)),
    Case("pools.matched", "slot 1 zone 0", after=edited(SETTLEMENT, "PoolMetered", 1, deliveredWh=149)),
    Case("pools.matched", "moneyMicro", after=edited(SETTLEMENT, "PoolPaid", 0, moneyMicro=4_001)),
    Case("pools.paid", "plant 7", after=edited(SETTLEMENT, "PlantPaid", 0, mintedWh=1)),
    Case("pools.once", "PoolPaid", after=repeated(SETTLEMENT, "PoolPaid")),
    Case("pools.once", "meter 103", {"position": leaf_word(start=START)}),
    Case("pools.complete", "slot 1 zone 0", after=dropped(SETTLEMENT, "PoolPaid", 1)),
    # --- treasury
    Case(
        "treasury.ledger",
        account("site"),
        after=lambda world: world.ledger[account("site")].__setitem__(0, 5),
    ),
    Case("treasury.ledger", "never negative", after=edited("Treasury", "Deposited", 0, amountMicro=1)),
    Case("treasury.balanced", "postings of", after=edited("Treasury", "Posted", 0, available=1)),
    Case("treasury.causes", "for OrderCleared", after=edited("Treasury", "Posted", 0, available=-1)),
    Case(
        "treasury.causes", "for SlotSettled", after=edited(SETTLEMENT, "SlotSettled", 0, outcomes=bytes(16))
    ),
    Case("treasury.causes", "for nothing", after=repeated("Treasury", "Posted", 0)),
    Case("treasury.total", "Treasury.totalMicro", views(total_micro=1)),
    Case("treasury.total", "token balance", views(token_balance_micro=1)),
    Case("treasury.withdrawals", "at most the requested 0", after=withdraw),
    # --- certificates
    Case(
        "certificates.minted", account("plant"), after=edited("Certificates", "TransferSingle", 0, value=301)
    ),
    Case("certificates.minted", account("buyer-a"), after=repeated("Certificates", "TransferSingle", 1)),
    Case("certificates.retired", "retired in", after=edited("Certificates", "Retired", 0, amount=1)),
    Case("certificates.credits", "mg credited", after=edited("Treasury", "Earned", 0, mg=182_801)),
    Case("certificates.credits", "no more claimed", after=edited(SETTLEMENT, "Credited", 0, grams=252)),
    Case("certificates.credits", "creditMgOf", views(credits_mg={(account("buyer-a"), CREDIT_KEY): 349})),
    Case("certificates.supply", " retired", after=repeated("Certificates", "Retired")),
    Case(
        "certificates.supply",
        "of " + account("plant"),
        views(
            holdings={
                (account("plant"), 1 << 248 | 201710 << 224 | 1 << 200 | int(ADDRESSES["Settlement"], 16)): 1
            }
        ),
    ),
)
