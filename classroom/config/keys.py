"""The one form of SSH public keys: type and key, as in a line of `authorized_keys`, from all forms in which people have them."""

import base64
import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from classroom.common.shorten import shortened

TYPES = {
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
}
"""Types that the hosts' SSH server accepts."""
RSA_BITS = 2048
"""Minimum size of an RSA key."""
LINE = re.compile(r"(?:^|(?<=\s))((?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+)\s+(AAAA\S*)", re.M)
RFC4716 = re.compile(r"---- BEGIN SSH2 PUBLIC KEY ----(.*?)---- END SSH2 PUBLIC KEY ----", re.S)
BODY = re.compile(r"\s(AAAA[A-Za-z0-9+/=\s]+)$")
PEM = re.compile(r"-----BEGIN (RSA )?PUBLIC KEY-----.*?-----END (RSA )?PUBLIC KEY-----", re.S)
LINE_EXAMPLE = "ssh-ed25519 AAAA… ada"
EXAMPLE = f"set the line in the file that ends in .pub, such as `{LINE_EXAMPLE}`"
NEW_KEY = "create another with `ssh-keygen -t ed25519`, and set the line in its .pub file"


def public_key(text: str) -> str:
    """Return type and key of a public key; ValueError says what is wrong with `text`, and what to write instead."""
    text = text.replace("\ufeff", "").replace("\r", "").strip()
    if "PRIVATE KEY" in text:
        raise ValueError("this is a private key; set the public key, from the file that ends in .pub")
    if PEM.search(text):
        return _from_pem(text)
    if found := RFC4716.findall(text):
        bodies = [BODY.search(one) for one in found]
        keys = [("", "".join(body[1].split())) for body in bodies if body]
        before = ""
    else:
        lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
        matches = list(LINE.finditer(lines))
        keys = [(match[1], match[2]) for match in matches]
        before = lines[: matches[0].start()].strip() if matches else ""
    if len(keys) > 1:
        raise ValueError(f"there are {len(keys)} keys in it, but one is allowed; write an entry of `admins` for each")
    if not keys:
        raise ValueError(f"'{_short(text)}' is not an SSH public key; {_instead(text)}")
    kind, key = keys[0]
    if before:
        raise ValueError(
            f"'{_short(before)}' in front of the key is an option, and options are not supported; write '{kind} {key[:12]}…' alone,"
            " and restrict the networks of all administrators in ssh_from"
        )
    return _checked(kind, key)


def is_security_key(key: str) -> bool:
    """Return whether the private key of a public key is in a security key, which asks for a touch at each login."""
    return key.startswith("sk-")


def _checked(kind: str, key: str) -> str:
    try:
        blob = base64.b64decode(key, validate=True)
        inner = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode("ascii")
    except ValueError:
        raise ValueError(f"'{kind} {key[:12]}…' is incomplete or has a blank in it; {EXAMPLE}") from None
    if inner and kind and kind != inner:
        raise ValueError(f"'{kind} {key[:12]}…' contains a key of type '{_short(inner)}'; copy the whole line again")
    if not inner:
        raise ValueError(f"'{kind} {key[:12]}…' is incomplete; {EXAMPLE}")
    if "-cert-" in inner:
        raise ValueError(f"'{inner}' is a certificate of a key; set the key itself, from the .pub file without -cert")
    if inner not in TYPES:
        raise ValueError(f"'{_short(inner)}' is a type of key that SSH servers no longer accept; {NEW_KEY}")
    shown = f"{inner} {base64.b64encode(blob).decode()}"
    try:
        loaded = serialization.load_ssh_public_key(shown.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"'{inner} {key[:12]}…' is incomplete or damaged; copy the whole line again") from None
    if isinstance(loaded, rsa.RSAPublicKey) and loaded.key_size < RSA_BITS:
        raise ValueError(f"the key has {loaded.key_size} bits, but an RSA key needs at least {RSA_BITS}; {NEW_KEY}")
    return shown


def _from_pem(text: str) -> str:
    found = PEM.search(text)
    assert found
    try:
        loaded = serialization.load_pem_public_key(found[0].encode())
        line = loaded.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"the PEM public key is damaged or of a type that SSH does not use; {EXAMPLE}") from None
    return _checked(*line.decode().split()[:2])


def _instead(text: str) -> str:
    if text.startswith("SHA256:") or text.startswith("MD5:"):
        return f"it is a fingerprint; {EXAMPLE}"
    if re.fullmatch(r"\S*[/\\]\S+|\S+\.pub", text):
        return "it is the path of a file; set the line that the file contains"
    return EXAMPLE


def _short(text: str) -> str:
    return shortened(" ".join(text.split()))
