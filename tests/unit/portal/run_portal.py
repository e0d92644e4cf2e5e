"""`python -m tests.unit.portal.run_portal TIMES`: run the join service with other durations, as a JSON object."""

import json
import sys

from portal.__main__ import main
from portal.times import Times

if __name__ == "__main__":
    main(Times(**json.loads(sys.argv[1])))
