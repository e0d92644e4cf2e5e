"""Control `page-requests`."""

from collections.abc import Callable

from classroom.verify.browsers.background_class import Observed
from classroom.verify.controls import page_requests
from classroom.verify.controls.evidence import Evaluator, Proof
from classroom.verify.deployment import Deployment


def test_page_requests(
    observed: Observed, target: Deployment, own: list[str], evaluator: Evaluator, prove: Callable[[Proof], None]
) -> None:
    traffic = observed.captured, observed.baseline
    prove(page_requests.judge(observed.requests, target.domain, target.names, own, *traffic, evaluator))
