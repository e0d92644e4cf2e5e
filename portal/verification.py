"""`python3 -m portal.verification`: print short-lived codes for a verification as JSON."""

import json
import secrets

from portal.codes import ALPHABET, verification_codes
from portal.config import load_secret

if __name__ == "__main__":
    nonce = "".join(secrets.choice(ALPHABET) for _ in range(8))
    print(json.dumps(verification_codes(load_secret(), nonce)))
