"""Control `issuers`."""

import os
from collections.abc import Callable

from classroom.verify.controls import collectors, issuers
from classroom.verify.controls.evidence import Evaluator, Proof
from classroom.verify.deployment import Deployment
from classroom.verify.pytest_plugin import Verification


def test_issuers(
    target: Deployment,
    with_ipv6: bool,
    evaluator: Evaluator,
    prove: Callable[[Proof], None],
    verification: Verification,
) -> None:
    front = target.addresses(target.group("front")[0], ipv6=with_ipv6)
    served = collectors.served(target.names, front, os.environ.get("SSL_CERT_FILE"))
    verification.certificates = issuers.dates(served)
    prove(issuers.judge(served, dict.fromkeys(target.turn_names, "TURN"), evaluator))
