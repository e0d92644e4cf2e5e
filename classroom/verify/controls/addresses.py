"""Control `addresses`: every address of the stack has verdicts on location, operator and parent."""

import ipaddress
from collections.abc import Mapping

from classroom.verify.controls.evidence import Evaluator, Proof, Seen
from classroom.verify.report.phrases import sentence

ID = "addresses"


def judge(
    machines: Mapping[str, list[str]], network: str, names: Mapping[str, list[str]], evaluator: Evaluator, *, ipv6: bool
) -> Proof:
    """Evaluate the addresses configured on `machines`, and those to which the class's `names` resolve.

    Addresses of `network`, the stack's private one, have the location of their machine.
    """
    own = ipaddress.ip_network(network)
    seen: list[Seen] = []
    for machine, addresses in machines.items():
        for address in addresses:
            parsed = ipaddress.ip_address(address)
            if parsed in own:
                seen.append(Seen(where=machine, outcome="good", what=sentence("private-address", address=address)))
            else:
                seen.append(evaluator.evaluate(machine, sentence("own-address", address=address), address))
    everything = {address for addresses in machines.values() for address in addresses}
    for name, addresses in names.items():
        if not addresses:
            seen.append(Seen(where=name, outcome="unknown", what=sentence("name-unanswered", name=name)))
        for address in addresses:
            seen.append(
                evaluator.evaluate(
                    name, sentence("name-leads", name=name, address=address), address, listed=address in everything
                )
            )
    absent = () if ipv6 else (sentence("no-ipv6"),)
    return Proof(id=ID, seen=tuple(seen), absent=absent)
