"""The archive in an S3-compatible store: the same names and the same checks as the folder.

`s3://bucket/prefix?endpoint=https://host&region=r`; credentials come from where boto3 looks for them
(environment, profile, role), never from the address.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from oracle.archive import EXTENSIONS, ArchiveError
from oracle.wire.keys import sha256


class S3Archive:
    """Objects `<prefix>/<kind>/<sha256>.<extension>`; an object is whole or not there, as S3 has it."""

    def __init__(self, location: str) -> None:
        parts = urlsplit(location)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.scheme != "s3" or not parts.netloc or set(options) - {"endpoint", "region"}:
            raise ArchiveError(f"archive: {location!r} is not s3://bucket/prefix?endpoint=URL&region=NAME")
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=options.get("endpoint"),
            region_name=options.get("region", "us-east-1"),
            config=Config(
                retries={"max_attempts": 5, "mode": "standard"}, connect_timeout=5, read_timeout=30
            ),
        )

    def _key(self, kind: str, digest: bytes) -> str:
        return "/".join(filter(None, (self._prefix, kind, f"{digest.hex()}.{EXTENSIONS[kind]}")))

    def put(self, kind: str, content: bytes) -> bytes:
        """Stores `content` and returns its sha256; what is there already is not sent again."""
        digest = sha256(content)
        if not self.has(kind, digest):
            self._call("put_object", Key=self._key(kind, digest), Body=content)
        return digest

    def has(self, kind: str, digest: bytes) -> bool:
        """Whether an object of that name is there (its content is checked by `get`)."""
        return self._call("head_object", Key=self._key(kind, digest), missing=True) is not None

    def get(self, kind: str, digest: bytes) -> bytes:
        """The content with this sha256; raises ArchiveError when it is missing or altered."""
        answer = self._call("get_object", Key=self._key(kind, digest), missing=True)
        if answer is None:
            raise ArchiveError(f"{kind}: 0x{digest.hex()} is missing from the archive")
        content = bytes(answer["Body"].read())
        if sha256(content) != digest:
            raise ArchiveError(f"{kind}: {digest.hex()} was altered, its sha256 is {sha256(content).hex()}")
        return content

    def digests(self, kind: str) -> Iterator[bytes]:
        """The sha256 in the names of all objects of a kind, in order."""
        prefix = "/".join(filter(None, (self._prefix, kind, "")))
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{prefix.rstrip('/')}/"
        )
        try:
            for page in pages:
                for item in page.get("Contents", ()):
                    yield bytes.fromhex(item["Key"].rpartition("/")[2].partition(".")[0])
        except (ClientError, BotoCoreError) as error:
            raise ArchiveError(f"s3://{self._bucket}: {error}") from None

    def remove(self, kind: str, digest: bytes) -> None:
        """Deletes one object; one that is not there is no error."""
        self._call("delete_object", Key=self._key(kind, digest))

    def _call(self, name: str, missing: bool = False, **arguments: object) -> dict[str, Any] | None:
        try:
            answer: dict[str, Any] = getattr(self._client, name)(Bucket=self._bucket, **arguments)
            return answer
        except ClientError as error:
            if missing and error.response["Error"]["Code"] in ("404", "NoSuchKey", "NotFound"):
                return None
            raise ArchiveError(f"s3://{self._bucket}: {error}") from None
        except BotoCoreError as error:
            raise ArchiveError(f"s3://{self._bucket}: {error}") from None
