"""Put a started interpreter into the executable that started it.

Runs the maker (see image.c), and lays the memory that it prints over a copy of its
file. Never touches libc's variables, and never keeps what belongs to one process.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

ELF_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # Elf64_Ehdr
SEGMENT = struct.Struct("<IIQQQQQQ")  # Elf64_Phdr
SECTION = struct.Struct("<IIQQQQIIQQ")  # Elf64_Shdr
PT_LOAD = 1
WORD = 8

# A word that differs from run to run belongs to the process, not to the image. Python
# 3.11 has none, 3.13 has 14 (of mimalloc, which is there and not in use), 3.14 has 19
# (and the stack limits of the maker's thread, which ended). Many more would mean that
# the image holds on to something it must not.
MOST_FOREIGN_WORDS = 24


class ImageError(Exception):
    """The maker's memory cannot become an executable."""


class Memory:
    """What the maker printed: three ranges, and the bytes from first to last."""

    def __init__(self, printed: bytes) -> None:
        borders = struct.unpack_from("<6Q", printed)
        self.ranges = list(zip(borders[::2], borders[1::2], strict=True))
        self.start, self.end = borders[0], borders[-1]
        self.content = bytearray(printed[len(borders) * WORD :])
        if len(self.content) != self.end - self.start:
            raise ImageError("the maker's output is cut short")

    def drop_foreign(self, other: Memory) -> int:
        """Zero the words in which the other run differs; how many they were."""
        count = 0
        for start, end in self.ranges:
            for at in range(start - self.start, end - self.start, WORD):
                word = slice(at, at + WORD)
                if self.content[word] != other.content[word]:
                    self.content[word] = bytes(WORD)
                    count += 1
        return count


def run_maker(maker: Path) -> Memory:
    environment = {"TZ": "UTC0"}  # nothing of the build's own
    ran = subprocess.run([maker], stdout=subprocess.PIPE, env=environment, cwd="/")
    if ran.returncode:
        raise ImageError(f"the maker ended with {ran.returncode}")
    return Memory(ran.stdout)


def find_section(elf: bytes, wanted: bytes) -> tuple[int, int]:
    """Address range of a section: Python keeps its central variable in one."""
    header = ELF_HEADER.unpack_from(elf)
    first, size, count, names = header[6], header[11], header[12], header[13]
    table = [SECTION.unpack_from(elf, first + size * i) for i in range(count)]
    for section in table:
        at = table[names][4] + section[0]
        if elf[at : elf.index(0, at)] == wanted:
            return section[3], section[3] + section[5]
    raise ImageError(f"no section {wanted.decode()}")


def render(elf: bytes, memory: Memory) -> bytes:
    """The file with a longer data segment, the last one, and without sections."""
    header = list(ELF_HEADER.unpack_from(elf))
    for at in range(header[5], header[5] + SEGMENT.size * header[10], SEGMENT.size):
        segment = list(SEGMENT.unpack_from(elf, at))
        kind, _, offset, address, _, in_file, in_memory, _ = segment
        if kind == PT_LOAD and address <= memory.start < address + in_memory:
            break
    else:
        raise ImageError("no data segment")
    data = bytearray(elf[offset : offset + in_file].ljust(memory.end - address, b"\0"))
    for start, end in memory.ranges:
        part = memory.content[start - memory.start : end - memory.start]
        data[start - address : end - address] = part
    segment[5] = len(data)
    header[6] = header[12] = header[13] = 0
    whole = bytearray(elf[:offset] + data)
    ELF_HEADER.pack_into(whole, 0, *header)
    SEGMENT.pack_into(whole, at, *segment)
    return bytes(whole)


def main() -> int:
    maker, output = map(Path, sys.argv[1:])
    elf = maker.read_bytes()
    try:
        memory, other = run_maker(maker), run_maker(maker)
        memory.ranges.append(find_section(elf, b".PyRuntime"))
        foreign = memory.drop_foreign(other)
        if foreign > MOST_FOREIGN_WORDS:
            raise ImageError(f"{foreign} words differ from run to run")
        output.write_bytes(render(elf, memory))
    except ImageError as error:
        print(f"image.py: {error}", file=sys.stderr)
        return 1
    output.chmod(0o755)
    return 0


if __name__ == "__main__":
    sys.exit(main())
