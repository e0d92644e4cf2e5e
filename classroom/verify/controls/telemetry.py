"""Control `telemetry`: no program on a host sends data to its vendor."""

from collections.abc import Mapping
from dataclasses import dataclass

from classroom.verify.controls.evidence import Proof, Seen
from classroom.verify.report.phrases import Sentence, sentence

ID = "telemetry"
PACKAGES = frozenset(
    {
        "abrt",
        "apport",
        "apport-symptoms",
        "fwupd",
        "kerneloops",
        "landscape-client",
        "landscape-common",
        "motd-news-config",
        "popularity-contest",
        "snapd",
        "ubuntu-advantage-tools",
        "ubuntu-pro-client",
        "ubuntu-report",
        "whoopsie",
    }
)
UNITS = ("apport", "fwupd-refresh", "kerneloops", "motd-news", "popularity-contest", "snapd", "ua-timer", "whoopsie")
LIVEKIT = ("webhook", "prometheus", "loki", "sentry", "analytics", "telemetry", "otel", "jaeger")
"""Parts of keys in LiveKit's settings that send or expose data to others."""


@dataclass(frozen=True)
class Reporting:
    """Packages and units of a host, whether motd-news is enabled, and LiveKit's settings (None without LiveKit)."""

    packages: frozenset[str]
    units: frozenset[str]
    motd_news: bool
    livekit: str | None


def judge(hosts: Mapping[str, Reporting]) -> Proof:
    """Evaluate which known telemetry is installed on each host; any is wrong, regardless of its recipient."""
    seen: list[Seen] = []
    absent: list[Sentence] = []
    for host, found in hosts.items():
        wrong = [sentence("telemetry-package", name=name) for name in sorted(PACKAGES & found.packages)]
        wrong += [
            sentence("telemetry-unit", name=unit)
            for unit in sorted(found.units)
            if any(unit.partition(".")[0].startswith(name) for name in UNITS)
        ]
        if found.motd_news:
            wrong.append(sentence("motd-news"))
        if found.livekit is not None:
            keys = {line.strip().partition(":")[0] for line in found.livekit.splitlines() if ":" in line}
            reporting = sorted(key for key in keys if any(word in key.lower() for word in LIVEKIT))
            wrong += [sentence("livekit-reports", key=key) for key in reporting]
            if not reporting:
                absent.append(sentence("livekit-silent", host=host))
        seen += [Seen(where=host, outcome="wrong", what=what) for what in wrong]
        if not found.packages or not found.units:
            seen.append(Seen(where=host, outcome="unknown", what=sentence("no-package-list")))
        elif not wrong:
            absent.append(sentence("no-telemetry", host=host, number=len(PACKAGES)))
    return Proof(id=ID, seen=tuple(seen), absent=tuple(absent))
