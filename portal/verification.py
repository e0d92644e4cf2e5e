"""`python3 -m portal.verification`: print short-lived codes for a verification as JSON."""

import json
import secrets

from portal.codes import ALPHABET, Codes
from portal.config import load

if __name__ == "__main__":
    nonce = "".join(secrets.choice(ALPHABET) for _ in range(8))
    print(json.dumps(Codes([], load().secret).verification(nonce)))
