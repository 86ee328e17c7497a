"""Everything that can be set from outside; environment variables carry the prefix `BITWATT_`."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEV_CHAIN_ID = 31337
DEV_SECRET = "bitwatt-dev-secret-of-no-value-00"


class Settings(BaseSettings):
    """Settings of the service. Units are in the names; a secret left at its default is refused off dev
    chains.
    """

    model_config = SettingsConfigDict(env_prefix="BITWATT_", extra="ignore", validate_default=True)

    # store
    database_url: str = "sqlite:///bitwatt.db"
    database_pool_size: int = Field(default=10, ge=1, le=200)

    # chain
    chain_id: int = Field(default=DEV_CHAIN_ID, ge=1)
    rpc_url: str | None = None
    address_book: Path | None = None
    archive: Path | None = None
    confirmations: int = Field(default=0, ge=0, le=1000)
    reorg_depth: int = Field(default=64, ge=1, le=10_000)
    index_poll_seconds: float = Field(default=1.0, gt=0, le=60)

    # identity
    secret: SecretStr = SecretStr(DEV_SECRET)
    public_origin: str = "http://127.0.0.1:8000"
    session_seconds: int = Field(default=12 * 3600, ge=60, le=30 * 86400)
    nonce_seconds: int = Field(default=300, ge=30, le=3600)
    token_seconds: int = Field(default=3600, ge=60, le=86400)
    operators: list[str] = Field(default_factory=list, description="wallets that may operate the platform")

    # limits
    max_body_bytes: int = Field(default=262_144, ge=1024, le=16 * 1024 * 1024)
    rate_free_per_minute: int = Field(default=600, ge=1)
    rate_standard_per_minute: int = Field(default=6_000, ge=1)
    rate_unlimited_per_minute: int = Field(default=10_000_000, ge=1)
    rate_anonymous_per_minute: int = Field(default=1_200, ge=1)
    rate_login_per_minute: int = Field(default=60, ge=1)

    # market calendar
    slot_seconds: int = Field(default=900, ge=60, le=86400)
    slots: int = Field(default=96, ge=1, le=1024)
    gate_lead_seconds: int = Field(default=3600, ge=0)
    calendar_days: int = Field(default=7, ge=1, le=31)
    deposit_check: bool = True
    demo_login: bool = False

    # webhooks and workers
    webhook_private_hosts: bool = Field(
        default=False, description="let webhooks reach private addresses over http (dev chain only)"
    )
    webhook_attempts: int = Field(default=12, ge=1, le=50)
    keystore: Path | None = Field(default=None, description="file of the key that sends transactions")
    keystore_password: SecretStr | None = None
    dev_keys: bool = Field(default=False, description="sign with derived keys (dev chain only)")
    committee_nodes: list[str] = Field(default_factory=list, description="URLs of the oracle's nodes")
    carbon_table: Path | None = Field(default=None, description="grid carbon by zone and slot of the day")
    intraday_slots: int = Field(default=0, ge=0, le=1024, description="slots of an intraday batch; 0 = none")
    intraday_every_slots: int = Field(default=4, ge=1, le=1024)
    clearing_seconds: int = Field(default=120, ge=1, le=3600)
    priority_fee_wei: int = Field(default=1_000_000_000, ge=0)
    fee_cap_wei: int = Field(default=500_000_000_000, ge=1)
    fee_bump_seconds: int = Field(default=30, ge=1)
    lease_seconds: int = Field(default=30, ge=3, le=600)

    # flexibility market
    flex_time_zone: str = Field(default="Asia/Shanghai", description="whose local days are traded")
    flex_day_ahead_hour: int = Field(default=12, ge=0, le=23, description="local hour of the day before")
    flex_real_time_lead_seconds: int = Field(default=3600, ge=0, le=86_400)
    flex_receipt_seconds: int = Field(default=900, ge=1, le=86_400, description="time to answer an event")
    flex_telemetry_seconds: int = Field(default=7200, ge=0, le=7 * 86_400, description="wait for readings")

    # OpenTelemetry
    otlp_endpoint: str | None = Field(default=None, description="URL of a collector (OTLP over HTTP)")
    otlp_sample_ratio: float = Field(default=0.1, ge=0, le=1, description="share of requests traced")
    otlp_metrics_seconds: int = Field(default=30, ge=1, le=3600)

    # web
    frontend: Path | None = None
    log_level: str = "INFO"
    log_json: bool = True

    @field_validator("public_origin")
    @classmethod
    def _origin_only(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
            raise ValueError("public_origin must be scheme://host[:port] and nothing else")
        return f"{parts.scheme}://{parts.netloc}"

    @model_validator(mode="after")
    def _refuse_default_secrets(self) -> Self:
        if self.chain_id != DEV_CHAIN_ID and self.secret.get_secret_value() == DEV_SECRET:
            raise ValueError(
                f"secret is the default one, which is refused off chain {DEV_CHAIN_ID}: "
                "set BITWATT_SECRET to at least 32 random characters"
            )
        if len(self.secret.get_secret_value()) < 32:
            raise ValueError("secret is shorter than 32 characters: set BITWATT_SECRET to a longer one")
        if self.demo_login and self.chain_id != DEV_CHAIN_ID:
            raise ValueError(f"demo_login is for chain {DEV_CHAIN_ID} only: switch it off")
        if self.dev_keys and self.chain_id != DEV_CHAIN_ID:
            raise ValueError(f"dev_keys is for chain {DEV_CHAIN_ID} only: name a keystore")
        if self.webhook_private_hosts and self.chain_id != DEV_CHAIN_ID:
            raise ValueError(f"webhook_private_hosts is for chain {DEV_CHAIN_ID} only: switch it off")
        if self.chain_id != DEV_CHAIN_ID and self.rpc_url is None:
            raise ValueError(f"rpc_url is missing: off chain {DEV_CHAIN_ID} there is no embedded chain")
        return self

    @property
    def is_dev(self) -> bool:
        """Whether this is the dev chain (31337), where faucets and default secrets are allowed."""
        return self.chain_id == DEV_CHAIN_ID

    @property
    def domain(self) -> str:
        """Host[:port] that wallets must see in a sign-in message (EIP-4361 `domain`)."""
        return urlsplit(self.public_origin).netloc

    @property
    def secure_cookies(self) -> bool:
        """Whether cookies carry `Secure`: always under https."""
        return self.public_origin.startswith("https://")

    def shown(self) -> dict[str, object]:
        """The settings an operator may see; secrets and credentials in URLs are masked."""
        out: dict[str, object] = json.loads(self.model_dump_json(exclude={"secret", "keystore_password"}))
        for name in ("database_url", "rpc_url"):
            url = out.get(name)
            if isinstance(url, str) and "@" in url:
                out[name] = f"{url.split('://')[0]}://***@{url.rsplit('@', 1)[1]}"
        return out


@lru_cache(maxsize=1)
def settings_from_environment() -> Settings:
    """The process's settings, read once."""
    return Settings()
