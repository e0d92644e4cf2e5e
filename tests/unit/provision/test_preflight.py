"""Checks before anything is created, with a fake cloud."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from classroom.clients.openstack import CloudService
from classroom.common import tmpfs
from classroom.common.errors import ClassroomError, WrongUseError
from classroom.config.settings import Settings, load
from classroom.provision import preflight
from classroom.provision.preflight import Findings
from tests.unit.conftest import issued
from tests.unit.provision.test_classroom import run

Answers = dict[str, Any]


class FakeCloud:
    """A fake cloud that answers from a table, and records the requests."""

    project = "p"

    def __init__(self, answers: Answers) -> None:
        self.answers, self.asked = answers, []  # type: ignore[var-annotated]
        self.endpoints = [CloudService("block-storage", "public", "https://volume.example/v3")]

    def get(self, service: str, path: str, **query: Any) -> dict[str, Any]:
        self.asked.append((service, path, query))
        if path == "/servers":
            found: Any = [
                {"name": server["name"]}
                for server in self.answers["/servers/detail"]
                if server["status"] == query["status"]
                and query.get("image", server["image"] and server["image"]["id"])
                == (server["image"] and server["image"]["id"])
            ]
        else:
            found = self.answers[path]
        if path == "/images" and "name" in query:
            found = [image for image in found if image["name"] == query["name"]]
        if path == "/networks":
            found = [network for network in found if ("tags" in query) == bool(network.get("tags"))]
        key = {
            "/flavors/detail": "flavors",
            "/servers/detail": "servers",
            "/os-availability-zone": "availabilityZoneInfo",
        }
        return found if path in {"/limits"} else {key.get(path, path.strip("/")): found}

    def find(self, service: str, path: str, **query: Any) -> dict[str, Any] | None:
        self.asked.append((service, path, query))
        return self.answers.get(path)


@pytest.fixture
def answers() -> Answers:
    limits = {"maxTotalInstances": 10, "totalInstancesUsed": 0, "maxTotalCores": 20, "totalCoresUsed": 0}
    return {
        "/images": [
            {"name": "debian-13", "id": "i1", "min_disk": 3, "min_ram": 512},
            {"name": "debian-12", "id": "i2"},
        ],
        "/flavors/detail": [
            {"name": "small", "vcpus": 2, "ram": 2048, "disk": 10},
            {"name": "thin", "vcpus": 1, "ram": 256, "disk": 1},
        ],
        "/networks": [{"name": "public", "id": "n1"}],
        "/servers/detail": [],
        "/os-availability-zone": [{"zoneName": "nova"}, {"zoneName": "north"}],
        "/limits": {"limits": {"absolute": {**limits, "maxTotalRAMSize": -1, "totalRAMUsed": 0}}},
    }


@pytest.fixture
def values(smallest: dict[str, Any]) -> dict[str, Any]:
    return dict(smallest)


def look(answers: Answers, settings: Settings) -> Findings:
    return look_at(FakeCloud(answers), settings)


def look_at(cloud: FakeCloud, settings: Settings) -> Findings:
    with ThreadPoolExecutor(4) as pool:
        return preflight._Check(cloud, settings, "academy", pool).run()  # type: ignore[arg-type]


def refused(answers: Answers, values: dict[str, Any]) -> str:
    with pytest.raises(ClassroomError) as caught:
        look(answers, load(values))
    return str(caught.value)


def test_a_plan_without_faults_passes(answers: Answers, values: dict[str, Any]) -> None:
    assert look(answers, load(values)) == Findings("n1", {}, [], "i1")


def test_unknown_names_are_reported_with_the_available_ones(answers: Answers, values: dict[str, Any]) -> None:
    wrong = {"image": "debian-14", "flavor_front": "huge", "external_network": "internet", "availability_zone": "south"}
    message = refused(answers, values | wrong)
    assert message.splitlines() == [
        "availability_zone: the cloud has no 'south'; choose one of: north, nova",
        "image: the cloud has no 'debian-14'; choose one of: debian-12, debian-13",
        "flavor_front: the cloud has no 'huge'; choose one of: small, thin",
        "external_network: the cloud has no 'internet'; choose one of: public",
    ]


def test_of_many_names_the_most_similar_are_shown(answers: Answers, values: dict[str, Any]) -> None:
    answers["/images"] += [{"name": f"windows-{n}", "id": str(n)} for n in range(200)]
    message = refused(answers, values | {"image": "debian-14"})
    assert "choose one of: debian-13, debian-12" in message and message.endswith("and others")


def test_a_flavour_that_is_too_small_for_the_image_is_named(answers: Answers, values: dict[str, Any]) -> None:
    message = refused(answers, values | {"flavor_front": "thin"})
    assert "flavor_front: 'thin' has 1 GiB of disk and 256 MiB" in message and "choose one of: small" in message


def test_a_flavour_without_a_disk_is_explained(answers: Answers, values: dict[str, Any]) -> None:
    answers["/flavors/detail"] = [{"name": "diskless", "vcpus": 2, "ram": 4096, "disk": 0}]
    message = refused(answers, values | {"flavor_front": "diskless"})
    assert message == (
        "flavor_front: 'diskless' has no disk of its own; set volume: {size: 20}, so that its machines start from volumes"
    )
    answers["/flavors/detail"].append({"name": "small", "vcpus": 2, "ram": 2048, "disk": 10})
    assert refused(answers, values | {"flavor_front": "diskless"}).endswith("or choose one of: small")
    assert look(answers, load(values | {"flavor_front": "diskless", "volume": {"size": 20}})).image_id == "i1"
    answers["/flavors/detail"] = [{"name": "thin", "vcpus": 1, "ram": 256, "disk": 0}]
    message = refused(answers, values | {"flavor_front": "thin", "volume": {"size": 20}})
    assert "'thin' has" in message and "volume" not in message.partition("'thin'")[2].partition(";")[2].replace(
        "volumes", ""
    )


@pytest.mark.parametrize(
    ("volume", "sentence"),
    [
        ({"size": 8}, "volume.size: 8 GiB are too few for the image, which needs 9; set 9 or more"),
        ({"size": 20, "type": "fast"}, "volume.type: the cloud has no 'fast'; choose one of: hdd, ssd"),
    ],
)
def test_a_volume_has_to_fit_and_to_exist(
    answers: Answers, values: dict[str, Any], volume: dict[str, Any], sentence: str
) -> None:
    answers["/images"][0]["virtual_size"] = 8 * 1024**3 + 1
    answers["/types"] = {"volume_types": [{"name": "ssd", "id": "t1"}, {"name": "hdd", "id": "t2"}]}
    assert refused(answers, values | {"volume": volume}) == sentence
    for name in ("ssd", "t2"):
        look(answers, load(values | {"volume": {"size": 20, "type": name}}))


def test_a_cloud_without_volumes_and_a_quota_of_them_are_named(answers: Answers, values: dict[str, Any]) -> None:
    absolute = {"maxTotalVolumes": 3, "totalVolumesUsed": 3, "maxTotalVolumeGigabytes": 100, "totalGigabytesUsed": 90}
    answers["/limits"]["limits"]["absolute"] |= {"maxTotalInstances": 10}

    class Cinder(FakeCloud):
        def find(self, service: str, path: str, **query: Any) -> dict[str, Any] | None:
            if service == "block-storage" and path == "/limits":
                return {"limits": {"absolute": absolute}}
            return super().find(service, path, **query)

    with pytest.raises(ClassroomError) as caught:
        look_at(Cinder(answers), load(values | {"volume": {"size": 20}}))
    assert "quota: volumes needed: 1, left in the project: 0 of 3" in str(caught.value)
    assert "quota: GiB of volumes needed: 20, left in the project: 10 of 100" in str(caught.value)
    cloud = FakeCloud(answers)
    cloud.endpoints = []
    with pytest.raises(ClassroomError, match="volume: the cloud has no volume service"):
        look_at(cloud, load(values | {"volume": {"size": 20}}))


def test_machines_on_volumes_are_found_without_their_image(answers: Answers, values: dict[str, Any]) -> None:
    answers["/servers/detail"] = [{"name": "academy-class", "status": "ACTIVE", "image": ""}]
    cloud = FakeCloud(answers)
    assert look_at(cloud, load(values | {"volume": {"size": 20}})).image_id == "i1"
    assert not [path for _, path, _ in cloud.asked if path == "/servers/detail"]


def test_ambiguous_names_are_reported(answers: Answers, values: dict[str, Any]) -> None:
    answers["/images"].append({"name": "debian-13", "id": "i9"})
    answers["/networks"].append({"name": "public", "id": "n9"})
    message = refused(answers, values)
    assert "2 images named 'debian-13' (i1, i9)" in message and "2 external networks named 'public' (n1, n9)" in message


class Quota(NamedTuple):
    limits: dict[str, int]
    network: dict[str, Any]
    words: list[str]


@pytest.mark.parametrize(
    "quota",
    [
        Quota({"maxTotalInstances": 2}, {}, ["machines needed: 3, left in the project: 2 of 2"]),
        Quota({"totalCoresUsed": 15}, {}, ["processors needed: 6, left in the project: 5 of 20"]),
        Quota({"maxTotalRAMSize": 4096}, {}, ["MiB of memory needed: 6144, left in the project: 4096 of 4096"]),
        Quota(
            {},
            {"floatingip": {"limit": 4, "used": 2, "reserved": 0}, "router": {"limit": 1, "used": 1, "reserved": 0}},
            ["floating IPs needed: 3, left in the project: 2 of 4", "routers needed: 1, left in the project: 0 of 1"],
        ),
        Quota({}, {"port": 4}, ["ports needed: 6, left in the project: 4 of 4"]),
    ],
)
def test_an_insufficient_quota_is_reported_in_numbers(answers: Answers, values: dict[str, Any], quota: Quota) -> None:
    split = {"shape": "split", "media_count": 2, "flavor_media": "small", "ipv6": "2001:db8::/64"}
    names = ["class.example", "turn1.class.example", "turn2.class.example"]
    answers["/limits"]["limits"]["absolute"] |= quota.limits
    answers["/quotas/p/details.json"] = {"quota": quota.network}
    message = refused(answers, values | split | issued(*names))
    assert [word for word in quota.words if f"quota: {word}" not in message] == [], message
    assert len(message.splitlines()) == len(quota.words), message


@pytest.mark.parametrize("media_count", [1, 2])
def test_the_network_quota_matches_the_declared_resources(
    answers: Answers, values: dict[str, Any], media_count: int
) -> None:
    names = ["class.example", "turn.class.example", "turn1.class.example", "turn2.class.example"]
    split = {"shape": "split", "media_count": media_count, "flavor_media": "small", "ipv6": "2001:db8::/64"}
    settings = load(values | split | issued(*names))
    kinds = {
        "floatingip": "FloatingIp",
        "network": "Network",
        "router": "Router",
        "subnet": "Subnet",
        "security_group": "SecGroup",
        "security_group_rule": "SecGroupRule",
    }
    answers["/quotas/p/details.json"] = {"quota": dict.fromkeys(kinds, 0)}
    with pytest.raises(ClassroomError) as caught:
        look(answers, settings)
    needed = sorted(int(found[1]) for found in re.finditer(r"needed: (\d+)", str(caught.value)))
    declared = run(settings)
    assert needed == sorted(
        len(declared.of(f"networking/{kind[0].lower()}{kind[1:]}:{kind}")) for kind in kinds.values()
    )


def test_existing_machines_need_no_quota(answers: Answers, values: dict[str, Any]) -> None:
    answers["/limits"]["limits"]["absolute"] |= {"maxTotalInstances": 1, "totalInstancesUsed": 1}
    answers["/servers/detail"] = [{"name": "academy-class", "id": "s", "status": "ACTIVE", "image": {"id": "i1"}}]
    cloud = FakeCloud(answers)
    assert look_at(cloud, load(values)) == Findings("n1", image_id="i1")
    # Details, which are slow, are not requested either.
    assert [path for _, path, _ in cloud.asked if path.startswith("/servers")] == ["/servers"]


@pytest.mark.parametrize("change", [{"status": "ERROR"}, {"status": "SHUTOFF"}, {"image": {"id": "i2"}}])
def test_details_are_requested_if_a_machine_differs_from_the_settings(
    answers: Answers, values: dict[str, Any], change: dict[str, Any]
) -> None:
    answers["/images/i2"] = {"name": "debian-12", "id": "i2"}
    answers["/servers/detail"] = [
        {"name": "academy-class", "id": "s", "status": "ACTIVE", "image": {"id": "i1"}} | change
    ]
    cloud = FakeCloud(answers)
    look_at(cloud, load(values))
    assert [path for _, path, _ in cloud.asked if path.startswith("/servers")] == ["/servers", "/servers/detail"]


def test_a_server_in_error_is_found(answers: Answers, values: dict[str, Any]) -> None:
    server = {"name": "academy-class", "id": "s", "status": "ERROR", "image": {"id": "i1"}}
    others = [{"name": "academy-two-front", "id": "x", "status": "ERROR", "image": {"id": "i1"}}]
    answers["/servers/detail"] = [{**server, "fault": {"message": "No valid host was found."}}, *others]
    assert look(answers, load(values)).broken == {"class": "No valid host was found."}


def test_another_image_is_a_warning_with_the_command(answers: Answers, values: dict[str, Any]) -> None:
    answers["/servers/detail"] = [{"name": "academy-class", "id": "s", "status": "ACTIVE", "image": {"id": "i2"}}]
    answers["/images/i2"] = {"name": "debian-12", "id": "i2"}
    (advice,) = look(answers, load(values)).advice
    assert [word for word in ("image: class ", "'debian-12'", "'debian-13'") if word not in advice] == []
    assert (
        "`pulumi up --stack academy --replace 'urn:pulumi:academy::classroom::" in advice
        and "machines-class'`" in advice
    )
    # The cloud has updated its image under the same name: no action is needed.
    answers["/images/i2"] = {"name": "debian-13", "id": "i2"}
    assert look(answers, load(values)).advice == []


def test_the_preflight_only_reads() -> None:
    source = Path(preflight.__file__).read_text()
    assert ".console(" not in source and "_ask(" not in source


def test_a_full_disk_is_reported_with_folder_and_required_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}/not/there/yet")
    monkeypatch.setattr(preflight, "shipped", dict)
    monkeypatch.delenv("CLASSROOM_SSH_KEY", raising=False)
    monkeypatch.setattr(preflight, "STATE_MIB", 10**9)
    with pytest.raises(ClassroomError, match=r"MiB free, 1000000000 MiB needed"):
        preflight.this_machine()
    monkeypatch.setattr(preflight, "STATE_MIB", 1)
    preflight.this_machine()


def test_the_folder_of_pulumi_s_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://bucket?region=eu")
    assert preflight.state_folder() is None
    monkeypatch.delenv("PULUMI_BACKEND_URL")
    assert preflight.state_folder() == Path.home()


def test_an_ssh_key_that_is_missing_or_of_no_administrator_is_named(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], tmp_path: Path
) -> None:
    monkeypatch.setenv("CLASSROOM_SSH_KEY", "/nowhere/id_ed25519")
    with pytest.raises(
        ClassroomError, match=r"CLASSROOM_SSH_KEY: .*'/nowhere/id_ed25519' does not exist; set the whole"
    ):
        preflight.administrators_key(load(values))
    file = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    monkeypatch.setenv("CLASSROOM_SSH_KEY", str(file))
    with pytest.raises(ClassroomError, match=r"'.*/id' is not the key of an administrator in the settings \('ada'\)"):
        preflight.administrators_key(load(values))
    public = file.with_name("id.pub").read_text()
    preflight.administrators_key(load(values | {"admins": [{"name": "ada", "public_key": public}]}))


def test_secrets_stay_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tmpfs.in_memory(tmpfs.memory_folder())
    assert not tmpfs.in_memory(Path("/proc"))
    monkeypatch.setattr(tmpfs, "in_memory", lambda _: False)
    with pytest.raises(ClassroomError, match=r"/dev/shm.*XDG_RUNTIME_DIR"):
        tmpfs.memory_folder()


def test_a_wrong_setting_is_wrong_use(answers: Answers, values: dict[str, Any]) -> None:
    with pytest.raises(WrongUseError):
        look(answers, load(values | {"image": "none"}))
