"""Download an archive and extract named files; both are treated as untrusted input."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import shutil
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from tqdm import tqdm

from ofa.errors import UserError
from ofa.system.redact import without_secrets

MAX_ARCHIVE_BYTES = 1 << 30  # MNLI, the largest of GLUE, is 313 MB
MAX_FILE_BYTES = 2 << 30
TIMEOUT_S = 30
_CHUNK = 1 << 20


def fetch_files(url: str, sha256: str | None, files: Sequence[str], folder: Path) -> None:
    """Put ``files`` of the zip archive at ``url`` into ``folder``.

    In the archive they lie in a folder of the same name as ``folder``, or at the top. Only they are
    written, under names that we choose, so a path in the archive leads nowhere. Each appears complete or
    not at all; a file that is there already stays as it is.

    Raises:
        UserError: one line with the address, without user name, password and query, and the reason.
    """
    for file in files:
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise UserError(f"{file!r} is not a path inside the task's folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as beside:
            archive = Path(beside) / "archive.zip"
            _download(url, sha256, archive)
            for index, path in enumerate(_unpack(without_secrets(url), archive, files, folder.name)):
                target = folder / files[index]
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    os.replace(path, target)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror or error})") from error


def _download(url: str, sha256: str | None, target: Path) -> None:
    """Stream ``url`` to ``target`` within MAX_ARCHIVE_BYTES and compare its digest."""
    shown = without_secrets(url)
    try:
        response = urllib.request.urlopen(_request(url), timeout=TIMEOUT_S)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = without_secrets(str(getattr(error, "reason", error)))
        raise UserError(f"{shown} could not be fetched ({reason})") from None
    digest, done = hashlib.sha256(), 0
    with response, target.open("wb") as file:
        total = int(response.headers.get("Content-Length") or 0)
        with tqdm(total=total or None, desc=f"fetch {shown.rsplit('/', 1)[-1]}", unit="B", unit_scale=True) as bar:
            while True:
                try:
                    chunk = response.read(_CHUNK)
                except (OSError, http.client.HTTPException) as error:
                    raise UserError(f"{shown} broke off after {done:,} bytes ({error})") from error
                done += len(chunk)
                if max(done, total) > MAX_ARCHIVE_BYTES:
                    raise UserError(f"{shown} is larger than {MAX_ARCHIVE_BYTES:,} bytes, the limit for an archive")
                if not chunk:
                    break
                digest.update(chunk)
                file.write(chunk)
                bar.update(len(chunk))
    if total and done != total:
        raise UserError(f"{shown} broke off after {done:,} of {total:,} bytes")
    if sha256 is not None and digest.hexdigest() != sha256.lower():
        raise UserError(f"{shown} is not the archive expected: SHA-256 {digest.hexdigest()}, task.sha256 is {sha256}")


def _request(url: str) -> urllib.request.Request:
    """For ``url``, its user name and password in the header that servers expect them in; a redirect gets neither."""
    scheme, _, rest = url.partition("://")
    user, at, place = rest.rpartition("@")
    if not at or scheme == "file":
        return urllib.request.Request(url)
    request = urllib.request.Request(f"{scheme}://{place}")
    secret = base64.b64encode(unquote(user).encode()).decode()
    request.add_unredirected_header("Authorization", f"Basic {secret}")
    return request


def _unpack(url: str, archive: Path, files: Sequence[str], top: str) -> list[Path]:
    """Write each of ``files`` beside the archive under a name of our own; the paths, in order."""
    try:
        with zipfile.ZipFile(archive) as packed:
            members = {info.filename: info for info in packed.infolist()}
            found = [members.get(f"{top}/{file}") or members.get(file) for file in files]
            missing = [f"{top}/{file}" for file, info in zip(files, found, strict=True) if info is None]
            if missing:
                raise UserError(f"{url} does not hold {', '.join(missing)}")
            paths = []
            for index, info in enumerate(found):
                assert info is not None
                if info.file_size > MAX_FILE_BYTES:
                    raise UserError(f"{url}: {info.filename} is larger than {MAX_FILE_BYTES:,} bytes, the limit")
                paths.append(archive.with_name(str(index)))
                with packed.open(info) as source, paths[-1].open("wb") as target:
                    shutil.copyfileobj(source, target, _CHUNK)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
        raise UserError(f"{url} is not a sound zip archive ({error})") from error
    return paths
