"""Who may do what: roles, scopes and the principal of a request (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from backend.service.errors import Forbidden, Unauthenticated


class Role(StrEnum):
    """What a member does in its organisation."""

    BUYER = "buyer"
    PROVIDER = "provider"
    SUPPLIER = "supplier"
    AGGREGATOR = "aggregator"
    AUDITOR = "auditor"
    OPERATOR = "operator"


class Scope(StrEnum):
    """What a credential allows; a route asks for one."""

    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    OFFERS_READ = "offers:read"
    OFFERS_WRITE = "offers:write"
    FLEX_READ = "flex:read"
    FLEX_WRITE = "flex:write"
    DELIVERIES_READ = "deliveries:read"
    PAYMENTS_READ = "payments:read"
    CERTIFICATES_READ = "certificates:read"
    CERTIFICATES_WRITE = "certificates:write"
    ORGANISATION_READ = "organisation:read"
    ORGANISATION_WRITE = "organisation:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    AUDIT_READ = "audit:read"
    PLATFORM_OPERATE = "platform:operate"


_S = Scope
_COMMON = frozenset({_S.ORGANISATION_READ, _S.DELIVERIES_READ, _S.PAYMENTS_READ, _S.CERTIFICATES_READ})
ROLE_SCOPES: dict[Role, frozenset[Scope]] = {
    Role.BUYER: _COMMON | {_S.ORDERS_READ, _S.ORDERS_WRITE, _S.CERTIFICATES_WRITE},
    Role.PROVIDER: _COMMON | {_S.OFFERS_READ, _S.OFFERS_WRITE},
    Role.SUPPLIER: _COMMON | {_S.OFFERS_READ, _S.OFFERS_WRITE, _S.CERTIFICATES_WRITE},
    Role.AGGREGATOR: _COMMON | {_S.FLEX_READ, _S.FLEX_WRITE, _S.OFFERS_READ, _S.OFFERS_WRITE},
    Role.AUDITOR: _COMMON | {_S.ORDERS_READ, _S.OFFERS_READ, _S.FLEX_READ, _S.AUDIT_READ},
    Role.OPERATOR: frozenset(
        {_S.ORGANISATION_READ, _S.ORGANISATION_WRITE, _S.KEYS_READ, _S.KEYS_WRITE}
        | {_S.WEBHOOKS_READ, _S.WEBHOOKS_WRITE, _S.AUDIT_READ}
    ),
}
MACHINE_SCOPES = frozenset(Scope) - {_S.PLATFORM_OPERATE, _S.ORGANISATION_WRITE, _S.KEYS_WRITE}
"""What a key or an OAuth client may be given at most: a machine never makes members or keys."""


def scopes_of_roles(roles: Iterable[str]) -> frozenset[Scope]:
    """Everything that any of the roles allows."""
    return frozenset().union(*(ROLE_SCOPES[Role(role)] for role in roles))


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever sends a request. `actor` is `wallet:0x..`, `key:<id>` or `client:<id>`; anonymous has no
    organisation.
    """

    actor: str
    organisation_id: str | None = None
    plan: str = "anonymous"
    address: str | None = None
    member_id: str | None = None
    roles: tuple[str, ...] = ()
    scopes: frozenset[Scope] = field(default_factory=frozenset)

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is signed in."""
        return self.organisation_id is None

    def require(self, scope: Scope) -> str:
        """The organisation's id when `scope` is allowed; Unauthenticated or Forbidden otherwise."""
        if self.organisation_id is None:
            raise Unauthenticated(
                "this needs a signed-in caller",
                mend="sign in with a wallet, or send a key as `Authorization: Bearer`",
            )
        if scope not in self.scopes:
            raise Forbidden(
                f"this needs the scope {scope.value}",
                field="scope",
                mend=f"use a member or key that has {scope.value} (an operator can grant it)",
            )
        return self.organisation_id


ANONYMOUS = Principal("anonymous")
