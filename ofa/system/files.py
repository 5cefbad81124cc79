"""Files written whole or not at all, their digests, manifests of folders, and a full disk, reported in one way."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ofa.errors import UserError


def expanded(path: str | Path) -> Path:
    """The path with ``~`` or ``~name`` at its beginning as the home folder that it stands for.

    Raises:
        UserError: if there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: no user of that name has a home folder here; allowed: a path without it") from None


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` beside ``path`` and rename it, so that a kill leaves the old file or the new one."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def put_in_place(made: Path, folder: Path) -> None:
    """Rename a folder that is whole to its place; one that another job has put there in the meantime stays."""
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(made)


def as_umask_says(path: Path) -> None:
    """Give a file that a library wrote for its owner alone the permissions of any other new file."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def link(source: str | Path, target: str | Path) -> None:
    """A second name for a file; a copy where the file system has no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_regular(path: Path) -> None:
    """Refuse what would be read for ever.

    Raises:
        UserError: if ``path`` is a pipe, a device or a folder.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: not a regular file; allowed: a file, or a link to one")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        UserError: if the file is none, or holds something else.
    """
    require_regular(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(values, ensure_ascii=False).encode()  # halves of characters could not be shown
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: not readable as JSON ({error})") from None
    except RecursionError:
        raise UserError(f"{path}: nested too deeply to be read as JSON") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: holds a {type(values).__name__}; allowed: an object in braces")
    return values


def manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """``size`` in bytes and ``sha256`` of every file under ``folder``, by its path there."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": digest}
        for path, digest in zip(paths, _digests(paths), strict=True)
    }


def damage(folder: Path, listed: Mapping[str, Mapping[str, Any]], digests_up_to: float = math.inf) -> str | None:
    """How ``folder`` differs from its manifest ``listed``, in words; None if all that is listed is there.

    Args:
        digests_up_to: bytes; of a larger file only the size is compared.
    """
    for name, expected in listed.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != expected["size"]:
            return f"{name} has {path.stat().st_size} bytes instead of {expected['size']}"
    compared = [name for name, expected in listed.items() if expected["size"] <= digests_up_to]
    for name, digest in zip(compared, _digests([folder / name for name in compared]), strict=True):
        if digest != listed[name]["sha256"]:
            return f"{name} does not match its checksum"
    return None


def _digests(paths: Sequence[Path]) -> list[str]:
    """Each file's digest; several files at once, as hashing 0.6 GB/s on one core is slower than most disks."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(file_digest, paths))


def flush(path: Path) -> None:
    """Make sure a file is on the disk before the rename that declares it whole."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk's end, or that of the user's share of it


def require_space(folder: Path, needed: int) -> None:
    """Refuse to begin what would not fit; some writers leave a file cut short and say nothing.

    Args:
        folder: where the files will go; it exists.
        needed: bytes about to be written.

    Raises:
        OSError: ENOSPC, naming ``folder`` and both sizes.
    """
    left = shutil.disk_usage(folder).free
    if left < needed:
        raise OSError(errno.ENOSPC, f"{needed / 1e6:.1f} MB needed, {left / 1e6:.1f} MB left", str(folder))


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Let every writer's way to say that the disk is full come out as one OSError that names ``folder``.

    NumPy and json raise an OSError without a name, shutil one without a number, safetensors an exception
    of its own with the system's words in it.
    """
    try:
        yield
    except Exception as error:
        named = str(getattr(error, "filename", None) or "").startswith(str(folder))
        if named or not is_full(error):
            raise
        left = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
        raise OSError(errno.ENOSPC, f"{left / 1e6:.1f} MB left", str(folder)) from error


def is_full(error: Exception) -> bool:
    """Whether ``error`` says, in its writer's way, that there is no space."""
    number = getattr(error, "errno", None)
    return number in FULL or (number is None and any(os.strerror(full) in str(error) for full in FULL))


def refusal(error: OSError, goes_on: bool = False) -> str:
    """What the operating system refused, in a line or two: a folder, a file, a full disk.

    Args:
        goes_on: whether the same command begins where this one ended, as that of a job does.
    """
    if error.errno in FULL:
        where = f": {error.filename} ({error.strerror})" if error.filename else ""
        then = ": it goes on from the last checkpoint" if goes_on else ""
        return f"The disk is full{where}\nMake space and give the same command{then}."
    place = f"{error.filename}: " if error.filename else ""
    return "\n".join([f"{place}{error.strerror or error}", *getattr(error, "__notes__", ())[:1]])


def unusable(folder: Path) -> str | None:
    """Why ``folder`` cannot be made or written to, found by writing to what there is of it so far."""
    folder = existing = folder.absolute()
    try:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir():
            return f"{existing} is a file"
        # Permissions alone do not tell: root passes them all, and some file systems take no files.
        with tempfile.TemporaryDirectory(dir=existing, prefix=".ofa-"):
            return None
    except OSError as error:
        return f"nothing can be written to {existing} ({error.strerror})"
