"""Sign short pieces of data that pages keep for the service, so that it needs no storage of its own."""

import base64
import binascii
import hmac

MAC_BYTES = 32


class Signer:
    """Signs bytes with HMAC-SHA-256 under a key that is derived from a secret for one purpose, its `label`."""

    def __init__(self, secret: str, label: str) -> None:
        self._key = hmac.digest(secret.encode(), f"classroom {label}".encode(), "sha256")

    def sign(self, data: bytes) -> str:
        """Return data and signature as URL-safe text."""
        return base64.urlsafe_b64encode(data + self._mac(data)).rstrip(b"=").decode()

    def read(self, text: str) -> bytes | None:
        """Return the signed data, or None if the text was not signed with this key."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        data, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
        return data if hmac.compare_digest(self._mac(data), mac) else None

    def _mac(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, "sha256")
