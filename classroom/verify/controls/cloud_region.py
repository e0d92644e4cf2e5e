"""Control `cloud-region`: the region of each server and the endpoints of the services, by the cloud's own API."""

from collections.abc import Mapping
from dataclasses import dataclass

from classroom.clients.openstack import CloudService
from classroom.sovereignty.catalogue import load_catalogue
from classroom.sovereignty.cloud_services import astray
from classroom.sovereignty.policy import check
from classroom.verify.controls.evidence import DestinationVerdict, Evaluator, Proof, Seen, class_of
from classroom.verify.report.phrases import sentence

ID = "cloud-region"


@dataclass(frozen=True)
class CloudView:
    """Answers of the cloud: the URL of Keystone, its service catalogue by region, and the regions that list each machine."""

    auth_url: str
    rows: tuple[tuple[str, CloudService], ...]
    holders: Mapping[str, tuple[str, ...]]


def judge(view: CloudView, evaluator: Evaluator) -> Proof:
    """Evaluate the declared region, the region of each machine, and every row of the cloud's service catalogue."""
    settings = evaluator.declarations
    cloud = next((one for one in settings.declared_cloud if one.as_cloud().answers_at(view.auth_url) is not None), None)
    judged = check(
        view.auth_url,
        settings.region,
        settings.policy,
        exceptions=settings.exceptions,
        declared_cloud=cloud,
        as_of=evaluator.as_of,
        ages=evaluator.ages,
    )
    known = cloud.as_cloud() if cloud else load_catalogue().find(view.auth_url)
    sides = {
        reason.about: DestinationVerdict(
            verdict=class_of(reason.country_class),
            name=party.name if (party := getattr(known, reason.about, None)) else None,
            country=party.country if party else judged.country if reason.about == "soil" else None,
            basis="declared" if judged.basis == "declared" else "observed",
            reason=reason.fact if reason.verdict == "unknown" else None,
        )
        for reason in judged.reasons
    }
    evaluator.used += [one for one in judged.exceptions if one not in evaluator.used]
    seen = [
        Seen(
            where="cloud",
            outcome="good" if judged.verdict == "allowed" else "unknown" if judged.verdict == "unknown" else "wrong",
            what=sentence("declared-region", cloud=judged.cloud or view.auth_url, region=settings.region),
            exception=judged.exceptions[0].name if judged.exceptions else None,
            sides=sides,
        )
    ]
    for machine, regions in view.holders.items():
        if regions == (settings.region,):
            what = sentence("region-as-declared", region=settings.region)
            seen.append(Seen(where=machine, outcome="good", what=what))
        elif regions:
            what = sentence("region-differs", region=", ".join(regions), declared=settings.region)
            seen.append(Seen(where=machine, outcome="wrong", what=what))
        else:
            seen.append(Seen(where=machine, outcome="unknown", what=sentence("region-not-found")))
    others = 0
    for region, row in view.rows:
        if region not in {settings.region, ""}:
            others += 1
            continue
        fault = astray(settings, view.auth_url, row)
        what = sentence("cloud-service", service=row.service, interface=row.interface, url=row.url)
        seen.append(Seen(where="cloud", outcome="wrong" if fault else "good", what=what))
    if others:
        seen.append(Seen(where="cloud", outcome="residue", what=sentence("other-regions", number=others)))
    return Proof(id=ID, seen=tuple(seen), not_proven=(sentence("no-place"),))
