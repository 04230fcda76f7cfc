"""Zip archives: written alike each time; an untrusted one is measured before it is unpacked."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping

MOST_MEMBERS = 1 << 14
_TIME = (1980, 1, 1, 0, 0, 0)  # the first that an archive can hold


def archive_of(members: Mapping[str, bytes]) -> bytes:
    """Return a zip archive of members in their order, the same bytes for the same members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, _TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            info.create_system = 3
            archive.writestr(info, data)
    return buffer.getvalue()


def members_of(data: bytes, most: int, limits: Mapping[str, int] | None = None) -> dict[str, bytes]:
    """Return what is in a zip archive, by name.

    Args:
        data: The archive.
        most: Bytes of all members, unpacked.
        limits: Bytes of single ones, by name.

    Raises:
        ValueError: It is none, damaged, has two members of one name, too many or too large ones.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check(archive.infolist(), most, limits or {})
            return {info.filename: archive.read(info) for info in archive.infolist()}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, KeyError) as error:
        # RuntimeError: a header asks for a password, or a method that zipfile lacks
        raise ValueError(str(error) or type(error).__name__) from None


def _check(infos: list[zipfile.ZipInfo], most: int, limits: Mapping[str, int]) -> None:
    if len({info.filename for info in infos}) != len(infos):
        raise ValueError("two members have the same name")
    if len(infos) > MOST_MEMBERS:
        raise ValueError(f"it has more than {MOST_MEMBERS} members")
    if sum(info.file_size for info in infos) > most:
        raise ValueError(f"its members have more than {most} bytes")
    for info in infos:
        if info.file_size > limits.get(info.filename, most):
            raise ValueError(f"{info.filename} has more than {limits[info.filename]} bytes")
