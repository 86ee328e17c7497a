"""The archive in a folder and in a real S3 server: the same promises; and what retention may delete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from oracle.archive import Archive, ArchiveError, ContentStore, open_archive
from oracle.retention import DAY_SECONDS, Reported, plan
from oracle.wire.bundle import DeviceRecord, encode_bundle, make_bundle
from oracle.wire.keys import DeviceKey, sha256
from oracle.wire.reading import Reading, seal

NOW = 1_600_000_000


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Address of an S3 server with one bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch = pytest.MonkeyPatch()
    patch.setenv("AWS_ACCESS_KEY_ID", "test")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    endpoint = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="evidence")
    yield f"s3://evidence/{{}}?endpoint={endpoint}"
    server.stop()
    patch.undo()


@pytest.fixture(params=["folder", "s3"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> ContentStore:
    """An empty archive of each sort."""
    if request.param == "folder":
        return open_archive(str(tmp_path / "archive"))
    address: str = request.getfixturevalue("s3")
    return open_archive(address.format(sha256(str(tmp_path).encode()).hex()[:12]))


def test_content_comes_back_and_is_kept_once(archive: ContentStore) -> None:
    digest = archive.put("evidence", b"a quote")
    assert archive.put("evidence", b"a quote") == digest == sha256(b"a quote")
    assert archive.get("evidence", digest) == b"a quote"
    assert archive.has("evidence", digest) and not archive.has("readings", digest)
    other = archive.put("evidence", b"another")
    assert list(archive.digests("evidence")) == sorted([digest, other])
    assert list(archive.digests("readings")) == []
    archive.remove("evidence", digest)
    archive.remove("evidence", digest)
    with pytest.raises(ArchiveError, match="is missing"):
        archive.get("evidence", digest)


def test_altered_content_is_noticed(s3: str, tmp_path: Path) -> None:
    folder = Archive(tmp_path)
    digest = folder.put("readings", b"true")
    folder.path("readings", digest).write_bytes(b"false")
    with pytest.raises(ArchiveError, match="was altered"):
        folder.get("readings", digest)
    bucket = open_archive(s3.format("altered"))
    digest = bucket.put("readings", b"true")
    endpoint = s3.rpartition("endpoint=")[2]
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.put_object(Bucket="evidence", Key=f"altered/readings/{digest.hex()}.cbor", Body=b"false")
    with pytest.raises(ArchiveError, match="was altered"):
        bucket.get("readings", digest)


def test_more_objects_than_one_page(s3: str) -> None:
    bucket = open_archive(s3.format("many"))
    due = sorted(bucket.put("evidence", number.to_bytes(2, "big")) for number in range(1_005))
    assert list(bucket.digests("evidence")) == due


@pytest.mark.parametrize("address", ["s3://", "s3://b/p?secret=1"])
def test_addresses_of_no_use(address: str) -> None:
    with pytest.raises(ArchiveError, match="is not s3://"):
        open_archive(address)


def test_a_bucket_that_is_not_there(s3: str) -> None:
    missing = open_archive(s3.format("x").replace("evidence", "nowhere"))
    with pytest.raises(ArchiveError, match="nowhere"):
        missing.put("readings", b"x")


def bundle(epoch: int, evidence: bytes) -> bytes:
    key = DeviceKey.from_seed(b"retention")
    record = DeviceRecord(1, key.public.x, key.public.y, evidence)
    item = Reading(31337, 1, 1, bytes(32), epoch, epoch * 900, epoch * 900 + 900, 5, 5 * (epoch + 1))
    made = make_bundle(
        31337, bytes(32), epoch, epoch * 900, epoch * 900 + 900, [(seal(key, item), 0, record)], []
    )
    return encode_bundle(made)


def test_retention_keeps_what_chain_and_younger_reports_need(archive: ContentStore) -> None:
    documents = [archive.put("evidence", name) for name in (b"old", b"young", b"recorded", b"of nobody")]
    old = archive.put("readings", bundle(0, documents[0]))
    young = archive.put("readings", bundle(1, documents[1]))
    never = archive.put("readings", bundle(2, documents[3]))
    reports = [Reported(NOW - 31 * DAY_SECONDS, old), Reported(NOW - 29 * DAY_SECONDS, young)]
    made = plan(archive, reports, [documents[2]], NOW, 30)
    assert made.expired == (old,) and made.orphans == (never,)
    assert set(made.evidence) == {documents[0], documents[3]}
    assert made.apply(archive) == 4
    assert list(archive.digests("readings")) == [young]
    assert set(archive.digests("evidence")) == {documents[1], documents[2]}
    again = plan(archive, [*reports, Reported(NOW, old)], [documents[2]], NOW, 30)
    assert again.apply(archive) == 0
