"""Control `page-requests`."""

from collections.abc import Callable

from classroom.sovereignty.proof import page_requests
from classroom.sovereignty.proof.evidence import Eye, Proof
from classroom.verify.held import Observed
from classroom.verify.target import Target


def test_page_requests(
    observed: Observed, target: Target, own: list[str], eye: Eye, prove: Callable[[Proof], None]
) -> None:
    traffic = observed.captured, observed.baseline
    prove(page_requests.judge(observed.requests, target.domain, target.names, own, *traffic, eye))
