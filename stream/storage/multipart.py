"""Objects in a bucket that several processes write in parts, one after the other: S3's multipart uploads.

Uses botocore, because obstore writes an object only from beginning to end in one process. Methods block: call them in a
thread. Knows nothing about what the parts are.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from stream.errors import DiskError, MatteboxError, UsageError
from stream.install import install_command

LEAST_PART_BYTES = 5 * 2**20  # of all parts but the last; S3's limit
MOST_PARTS = 10_000  # their numbers are 1 to 10,000; S3's limit
_CONNECTIONS = 16
_GONE = {"NoSuchUpload", "404"}
_DAMAGED = {"InvalidPart", "InvalidPartOrder", "EntityTooSmall"}


class PartsLost(MatteboxError):  # noqa: N818 - named after the problem, without "Error"
    """Parts of an object were replaced or have disappeared: it must be sent again."""

    code = "parts_lost"


@dataclass(frozen=True)
class Part:
    """number: from 1; parts are joined in this order, and there may be gaps. tag: its ETag."""

    number: int
    tag: str


class Multipart:
    """All may raise DiskError if the bucket cannot be reached or refuses the call."""

    def __init__(self, bucket: str, prefix: str, endpoint: str, retries: int) -> None:
        """prefix: of all keys; "" or without a slash at its end. Does not contact the server. Raises UsageError."""
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._name = f"s3://{bucket}/{prefix}".rstrip("/")
        self._client = _client(endpoint, retries)

    def begin(self, key: str) -> str:
        """Begin an object. Returns the id of its multipart upload."""
        with self._errors(key):
            return str(self._client.create_multipart_upload(**self._object(key))["UploadId"])

    def send_part(self, key: str, id: str, number: int, content: BinaryIO) -> Part:
        """Store the rest of a file, from its position on, as a part. Raises FileNotFoundError if the multipart upload
        was completed or aborted."""
        with self._errors(key):
            sent = self._client.upload_part(**self._object(key), UploadId=id, PartNumber=number, Body=content)
        return Part(number, str(sent["ETag"]))

    def complete(self, key: str, id: str, parts: Sequence[Part]) -> None:
        """Join the parts to the object; parts that are not listed are discarded. Raises PartsLost, and
        FileNotFoundError if the multipart upload was completed or aborted."""
        listed = [{"PartNumber": part.number, "ETag": part.tag} for part in parts]
        with self._errors(key):
            self._client.complete_multipart_upload(**self._object(key), UploadId=id, MultipartUpload={"Parts": listed})

    def abort(self, key: str, id: str) -> None:
        """Remove a multipart upload with its parts, if it exists."""
        try:
            with self._errors(key):
                self._client.abort_multipart_upload(**self._object(key), UploadId=id)
        except FileNotFoundError:
            pass

    def unfinished(self, prefix: str, before_s: float) -> list[tuple[str, str]]:
        """Keys and ids of the multipart uploads below `prefix` that were begun before that time (Unix time)."""
        with self._errors(prefix):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            found = [upload for page in pages for upload in page.get("Uploads", [])]
        old = [upload for upload in found if upload["Initiated"].timestamp() < before_s]
        return [(upload["Key"].removeprefix(self._prefix), upload["UploadId"]) for upload in old]

    def _object(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as exc:
            code = str(exc.response.get("Error", {}).get("Code", ""))
            if code in _GONE:
                raise FileNotFoundError(key) from None
            if code in _DAMAGED:
                raise PartsLost(f"{self._name}: {key}: {code}") from None
            raise DiskError(f"{self._name}: {key}: {exc}") from exc
        except (BotoCoreError, OSError) as exc:
            raise DiskError(f"{self._name}: {key}: {exc}") from exc


def _client(endpoint: str, retries: int) -> Any:
    """A client with the same settings as obstore's (`stream/storage/s3.py`). Raises UsageError."""
    try:
        from botocore.config import Config
        from botocore.session import get_session
    except ImportError:
        raise UsageError(f"MATTEBOX_STORAGE=s3://… needs an extra: {install_command('mattebox[s3]')}") from None
    virtual = os.environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "").lower() in ("1", "true")
    config = Config(
        connect_timeout=5,
        read_timeout=120,
        retries={"total_max_attempts": retries + 1, "mode": "standard"},
        max_pool_connections=_CONNECTIONS,
        # servers other than Amazon's may not know the newer checksums
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "virtual" if virtual else "path"},
    )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return get_session().create_client("s3", region_name=region, endpoint_url=endpoint or None, config=config)
