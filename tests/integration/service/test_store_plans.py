"""On PostgreSQL the API's queries use the indexes: no scan of a large table whatever is asked.

The planner is told that there are ten million orders and a hundred million readings, by the density of rows in
its statistics, and answers as it would on such tables.
"""
# ruff: noqa: E501 (statements read better unbroken)

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event, text

from backend.api.app import make_app
from backend.service.context import Context
from backend.service.secrets import Vault
from backend.settings import Settings
from backend.store.engine import Store, make_engine
from backend.store.readings import make_partition
from tests.unit.api.callers import ORIGIN, Key, World
from tests.unit.api.fixtures import _create_database

LARGE = (
    "bundle_order", "ledger_entry", "chain_event", "cleared_order", "agreement", "certificate_move",
    "meter_reading",
)  # fmt: skip
MONTHS = (1_504_224_000, 1_506_816_000, 1_509_494_400)
BELIEVED = {"bundle_order": 10**7, "ledger_entry": 10**8, "chain_event": 10**8, "meter_reading": 10**8}
ROWS = 60_000
HASH = "decode(lpad(to_hex({n}), 64, '0'), 'hex')"
ADDRESS = "decode(lpad(to_hex({n} % 997), 40, '0'), 'hex')"


@pytest.fixture
def large(postgres: str) -> Iterator[Engine]:
    """A database with many rows of many makers."""
    url = _create_database(postgres, "plans", "template_bitwatt")
    engine = make_engine(Settings(database_url=url))
    with Store(engine).writing() as session:
        for month in MONTHS:
            make_partition(session, month)
    with engine.begin() as connection:
        for statement in filling():
            connection.execute(text(statement))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
        for table, rows in BELIEVED.items():
            connection.execute(
                text(
                    "UPDATE pg_class SET reltuples = :rows WHERE relkind = 'r' AND (relname = :name "
                    "OR relname LIKE :name || '\\_20%')"
                ),
                {"rows": rows // (len(MONTHS) if table == "meter_reading" else 1), "name": table},
            )
    yield engine
    engine.dispose()


def filling() -> list[str]:
    """Statements that fill the large tables."""
    digest, maker = HASH.format(n="n"), ADDRESS.format(n="n")
    series = f"FROM generate_series(1, {ROWS}) AS n"
    return [
        f"""INSERT INTO bundle_order SELECT {digest}, lpad(n::text, 26, '0'), {maker}, 0, 1, 1, 0, 1,
            n / 100 * 900, n / 100 * 900 + 86400, 1, 0, 1, 0, 0, 0, n, 2000000000, '\\x00', n, 'api', NULL, NULL
            {series}""",
        f"""INSERT INTO ledger_entry SELECT n, 0, {maker}, 'posting', 1, 0, {digest}, n {series}""",
        f"""INSERT INTO chain_event SELECT n, 0, {digest}, n, 'Treasury', 'Posted', n / 1000, '{{}}' {series}""",
        f"""INSERT INTO batch SELECT n, {maker}, n * 900, 900, 96, 1, 1, {digest}, {digest}, {digest}, 0, 0, 1, n, n,
            1, NULL, NULL FROM generate_series(1, 61) AS n""",
        f"""INSERT INTO cleared_order SELECT n / 1000 + 1, 0, n, {digest}, {maker}, 1, 1, n {series}""",
        f"""INSERT INTO agreement SELECT n / 1000 + 1, 0, n, 0, {digest}, {maker}, 0, {maker}, n % 50, 0, 0, 1, 0, 4, 1,
            110, n {series}""",
        f"""INSERT INTO meter_reading SELECT n % 199 + 1, m + n * 40, 1, n, m + n * 40 + 900, 0, 1, n, 0, m, n, n
            FROM generate_series(1, {ROWS}) AS n, unnest(ARRAY[{", ".join(map(str, MONTHS))}]::bigint[]) AS m""",
        f"""INSERT INTO certificate_move SELECT n, 0, 0, n % 500, NULL, {maker}, 1, {digest}, n {series}""",
    ]


def test_no_query_of_the_api_scans_a_large_table(large: Engine) -> None:
    settings = Settings(database_url="postgresql://unused", public_origin=ORIGIN)
    context = Context(settings, Store(large), Vault(settings))
    asked: list[tuple[str, object]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("SELECT") and any(name in statement for name in LARGE):
            asked.append((statement, parameters))

    with TestClient(make_app(context), base_url=ORIGIN) as client:
        world = World(context, client.app)  # type: ignore[arg-type]
        caller = world.wallet("planner")
        maker = Key.of("planner").address.lower()
        with large.begin() as connection:  # some of everything is the caller's
            for table, column in (
                ("bundle_order", "maker"),
                ("ledger_entry", "account"),
                ("agreement", "maker"),
            ):
                connection.execute(
                    text(
                        f"UPDATE {table} SET {column} = decode(:a, 'hex') WHERE {column} = {ADDRESS.format(n='5')}"
                    ),
                    {"a": maker[2:]},
                )
        event.listen(large, "before_cursor_execute", note)
        digest = "0x" + f"{5:064x}"
        for path in (
            "/orders", f"/orders/{digest}", "/payments", "/deliveries", "/certificates", "/events",
            "/agreements?batch_id=7", f"/agreements?maker={maker}", f"/agreements?order_hash={digest}",
            "/certificates/77/history", "/events?batch_id=7", "/batches", "/readings?meter_id=11",
            f"/readings?meter_id=11&start={MONTHS[1]}&end={MONTHS[1] + 86_400}",
        ):  # fmt: skip
            answer = caller.get(path)
            assert answer.status_code in (200, 404, 503), (path, answer.text)
        event.remove(large, "before_cursor_execute", note)
    assert len(asked) >= 10
    scans = re.compile(rf"Seq Scan on ({'|'.join(LARGE)})(_20\d\d_\d\d)?\b")
    with large.connect() as connection:
        for table, rows in BELIEVED.items():
            whole = connection.exec_driver_sql(f"EXPLAIN SELECT * FROM {table}").scalars().all()
            estimate = max(int(n) for line in whole for n in re.findall(r"rows=(\d+)", line))
            assert estimate > 0.9 * rows, (table, whole)
        for statement, parameters in asked:
            plan = "\n".join(row[0] for row in connection.exec_driver_sql("EXPLAIN " + statement, parameters))  # type: ignore[arg-type]
            assert not scans.search(plan), f"{statement}\n{plan}"
            if "meter_reading" in statement and MONTHS[1] in tuple(parameters.values()):  # type: ignore[attr-defined]
                months = set(re.findall(r"meter_reading_20\d\d_\d\d\b", plan))
                assert months == {"meter_reading_2017_10"}, plan
