"""The sections of a valid blob: the table of them, and blobs put together from them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from itertools import starmap

from .blob_layout import HEADER, SECTION, Header, Section


def sections(blob: bytes) -> dict[str, int]:
    """Bytes of each section of a valid blob by its name, ``HEAD`` (header and table) first."""
    header = Header(*HEADER.unpack_from(blob))
    head = HEADER.size + SECTION.size * header.sections
    return {"HEAD": head} | {row.id.decode(): row.size for row in blob_sections(blob)}


def blob_sections(blob: bytes) -> Iterator[Section]:
    """The section table of a valid blob."""
    header = Header(*HEADER.unpack_from(blob))
    table = blob[HEADER.size : HEADER.size + SECTION.size * header.sections]
    return starmap(Section, SECTION.iter_unpack(table))


def with_section(blob: bytes, name: bytes, content: bytes) -> bytes:
    """A valid blob with one more section, or with other content for that of this name.

    All other sections stay as they are, byte for byte.
    """
    parts = {row.id: blob[row.offset : row.offset + row.size] for row in blob_sections(blob)}
    return joined(Header(*HEADER.unpack_from(blob)), parts | {name: content})


def joined(header: Header, parts: Mapping[bytes, bytes]) -> bytes:
    """Header, section table and sections, with every size, offset and checksum filled in."""
    table, end = b"", HEADER.size + SECTION.size * len(parts)
    for key, content in parts.items():
        table += SECTION.pack(*Section(key, end, len(content), zlib.crc32(content)))
        end += len(content)
    complete = header._replace(
        file_bytes=end, sections=len(parts), table_crc=zlib.crc32(table), header_crc=0
    )
    head = HEADER.pack(*complete)[:-4]
    return b"".join((head, zlib.crc32(head).to_bytes(4, "little"), table, *parts.values()))
