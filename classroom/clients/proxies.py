"""Check the HTTP proxies that this machine's variables name against the policy."""

import os
from collections.abc import Mapping

from classroom.common.hosts import is_local
from classroom.sovereignty.operators import host_of
from classroom.sovereignty.service_policy import ServicePolicy

VARIABLES = ("http_proxy", "https_proxy", "all_proxy")


def refuse_proxies(outside: ServicePolicy, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the faults of each proxy through which Pulumi, its plugin and this program would send their requests.

    A proxy on this machine itself passes: where it sends requests on to is as little visible as for any other program here.
    """
    faults = []
    for name in (spelling for variable in VARIABLES for spelling in (variable.upper(), variable)):
        host = host_of(environment.get(name, ""))
        if environment.get(name) and not is_local(host):
            faults.append(outside.host(f"{name}: the proxy '{host}'", host))
    return [fault for fault in faults if fault]
