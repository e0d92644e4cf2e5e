"""Compare names as people see them: equal names, and names that look alike, have a key in common.

Unicode Technical Standard 39 defines the skeleton of a text, in which characters that look alike are the same; the library ICU makes it.
"""

import ctypes
import functools
import unicodedata
from collections.abc import Callable
from pathlib import Path

LIBRARIES = "/usr/lib"
NOT_COMPARED = frozenset({"Cf", "Lm", "Mc", "Me", "Mn", "Sk"})
"""Unicode categories that make no difference, besides blanks and punctuation: marks, joiners, and letters that modify others."""
LONGEST = 16384
"""Bytes of a skeleton; that of the longest name has fewer."""


@functools.lru_cache(maxsize=4096)
def keys(name: str) -> frozenset[str]:
    """Return the keys of a name.

    A capital can look like another letter than the small one (I and l), so there is a key of the name as written and one of the name
    in small letters.
    """
    plain = unicodedata.normalize("NFKC", name)
    return frozenset(_compared(text, name) for text in (plain, plain.casefold()))


def _compared(text: str, name: str) -> str:
    skeleton = unicodedata.normalize("NFD", _skeleton(text)).casefold()
    letters = [
        c for c in skeleton if unicodedata.category(c) not in NOT_COMPARED and unicodedata.category(c)[0] not in "PZ"
    ]
    # A name of punctuation alone is compared as it is.
    return "".join(letters) or name


def _skeleton(text: str) -> str:
    encoded, result, error = text.encode(), ctypes.create_string_buffer(LONGEST), ctypes.c_int(0)
    checker, get_skeleton = _icu()
    length = get_skeleton(checker, 0, encoded, len(encoded), result, LONGEST, ctypes.byref(error))
    if error.value > 0:
        raise RuntimeError(f"ICU does not make a skeleton: error {error.value}")
    return result.raw[:length].decode()


@functools.cache
def _icu() -> tuple[int, Callable[..., int]]:
    """Return ICU's spoof checker and its function for skeletons, from the newest version of the library on this host."""
    found = sorted(Path(LIBRARIES).glob("*/libicui18n.so.[0-9][0-9]"))
    if not found:
        raise RuntimeError(
            f"the library ICU is missing: install Debian's package libicu76 (no {LIBRARIES}/*/libicui18n.so.*)"
        )
    library, version = ctypes.CDLL(str(found[-1])), found[-1].suffix.removeprefix(".")
    error = ctypes.c_int(0)
    make = getattr(library, f"uspoof_open_{version}")
    make.restype = ctypes.c_void_p
    checker = make(ctypes.byref(error))
    if error.value > 0:
        raise RuntimeError(f"ICU makes no spoof checker: error {error.value}")
    get = getattr(library, f"uspoof_getSkeletonUTF8_{version}")
    text, size = ctypes.c_char_p, ctypes.c_int32
    get.argtypes = [ctypes.c_void_p, ctypes.c_uint32, text, size, text, size, ctypes.POINTER(ctypes.c_int)]
    return checker, get
