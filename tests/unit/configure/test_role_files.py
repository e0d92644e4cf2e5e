"""What the roles write is worked out from the roles themselves, for every shape; an unknown kind of task stops it."""

import ipaddress
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import find

from classroom.config.plan import plans_for
from classroom.config.settings import Settings, load
from classroom.configure import role_files
from classroom.configure.artifacts import SHIPPED
from classroom.configure.inventory import CLASSES, inventory
from classroom.configure.role_files import RoleState, UnknownTaskError, role_states
from tests.unit.config.generated import accepted

SECRETS = {
    "classroom_secret_livekit": "l" * 43,
    "classroom_secret_certificate_key": "key",
    "classroom_secret_codes_key": "c0de" * 16,
}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("shipped")
    found = {}
    for name in SHIPPED:
        path = folder / name
        if name.endswith("_dir"):
            (path / "inner").mkdir(parents=True)
            (path / "inner" / "file").write_text(name)
        else:
            path.write_text(name)
        found[name] = str(path)
    return found


def settings_of(shape: str, media: int) -> Settings:
    """Return accepted settings of a shape."""
    values: dict[str, Any] = find(
        accepted(), lambda v: v.get("shape", "single") == shape and v.get("media_count", 1) == media
    )
    return load(values)


def states(
    shape: str, media: int, shipped: Mapping[str, str], secrets: Mapping[str, str] | None, **variables: object
) -> dict[str, RoleState]:
    """Return what the roles put on each machine; `variables` replace those of the inventory."""
    settings = settings_of(shape, media)
    plans = plans_for(settings.shape, settings.media_count, settings.flavor_front, settings.flavor_media)
    network = ipaddress.ip_network(settings.network_cidr)
    addresses = {
        plan.name: {"server": plan.name, "private4": str(network[i % 14]), "public4": f"203.0.113.{i}", "public6": ""}
        for i, plan in enumerate(plans, 10)
    }
    whole = inventory("academy", settings, plans, addresses)
    whole["all"]["vars"] |= variables
    if not variables.get(CLASSES, True):
        del whole["all"]["vars"][CLASSES]
    return role_states(whole, shipped, secrets)


def test_a_single_machine_has_the_files_of_all_its_roles(shipped: dict[str, str]) -> None:
    (state,) = states("single", 1, shipped, SECRETS).values()
    assert {
        "/etc/nginx/nginx.conf",
        "/etc/nftables.conf",
        "/etc/apt/sources.list.d/debian.sources",
        "/etc/ssh/authorized_keys.d/verifier",
        "/usr/local/bin/livekit-server",
        "/usr/local/sbin/classroom-survey",
        "/etc/classroom/secrets/tls.key",
        "/etc/cloud/cloud.cfg.d/99-classroom.cfg",
    } <= state.files.keys()
    assert "/etc/valkey/valkey.conf" not in state.files
    assert {"verifier", "livekit", "relay", "portal"} <= state.accounts.keys()
    assert state.groups == {"classroom-admins"}
    assert {"nginx", "portal", "livekit", "relay", "nftables", "unbound", "chrony", "ulogd2"} <= state.enabled
    assert all(file.content is not None for file in state.files.values())
    trees = [path for path in state.files if path.endswith("/inner/file")]
    assert sorted(path.split("/")[1] for path in trees) == ["srv", "usr"]


def test_each_machine_of_a_split_class_has_its_own_files(shipped: dict[str, str]) -> None:
    found = states("split", 2, shipped, SECRETS)
    front, media, other = (found[name] for name in ("front", "media1", "media2"))
    assert "/etc/classroom/secrets/valkey.conf" in front.files and "valkey-server" in front.enabled
    assert "/etc/nginx/nginx.conf" not in media.files and "/usr/local/bin/livekit-server" not in front.files
    assert media.files["/etc/classroom/livekit.yaml"] != other.files["/etc/classroom/livekit.yaml"]


ACME = {"directory": "https://acme.example/dir", "email": None, "eab": "kid", "root": None}


def test_a_front_with_ordered_certificates_has_the_client_in_place_of_the_certificate(shipped: dict[str, str]) -> None:
    (ordered,) = states("single", 1, shipped, SECRETS, classroom_acme=ACME).values()
    (given,) = states("single", 1, shipped, SECRETS).values()
    client = {
        "/etc/classroom/acme.json",
        "/etc/classroom/secrets/acme.ini",
        "/etc/systemd/system/acme.service",
        "/etc/systemd/system/acme.timer",
        "/etc/systemd/system/certbot.timer",
        "/srv/acme",
        "/usr/local/sbin/classroom-acme",
    }
    assert ordered.files.keys() - given.files.keys() == client
    assert given.files.keys() - ordered.files.keys() == {
        "/etc/classroom/secrets/tls.key",
        "/etc/classroom/tls/fullchain.pem",
    }
    assert given.absent - ordered.absent >= client | {"/var/lib/acme"}
    assert ordered.accounts.keys() - given.accounts.keys() == {"acme"}
    assert ordered.enabled - given.enabled == {"acme.timer"}


def test_without_secrets_exactly_their_contents_are_unknown(shipped: dict[str, str]) -> None:
    (state,) = states("single", 1, shipped, None).values()
    (known,) = states("single", 1, shipped, SECRETS).values()
    unknown = {path for path, file in state.files.items() if file.content is None}
    assert unknown == {path for path in known.files if path.startswith("/etc/classroom/secrets/")}
    secrets = set(itertools.chain.from_iterable(value.split() for value in SECRETS.values() if len(value) > 16))
    assert not [path for path, text in known.texts.items() if any(secret in text for secret in secrets)]


def test_without_the_classes_exactly_the_file_that_contains_them_is_unknown(shipped: dict[str, str]) -> None:
    (known,) = states("single", 1, shipped, SECRETS).values()
    (state,) = states("single", 1, shipped, SECRETS, **{CLASSES: None}).values()
    unknown = {path for path, file in state.files.items() if file.content is None}
    assert unknown == {"/etc/classroom/portal.json"}
    assert state.files.keys() == known.files.keys() and unknown & state.texts.keys() == set()
    # Each call makes another certificate.
    differing = {path for path, file in known.files.items() if file != state.files[path]}
    assert differing - {"/etc/classroom/tls/fullchain.pem"} == unknown


def test_a_task_of_an_unknown_kind_is_an_error(shipped: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(role_files, "CHANGE_NO_FILE", role_files.CHANGE_NO_FILE - {"ansible.builtin.apt"})
    with pytest.raises(UnknownTaskError, match=r"ansible\.builtin\.apt: say in"):
        states("single", 1, shipped, SECRETS)


def test_each_module_that_writes_no_file_is_used() -> None:
    texts = "".join(path.read_text() for path in Path(role_files.ANSIBLE).rglob("*.yml"))
    unused = {name for name in role_files.CHANGE_NO_FILE if f"{name}:" not in texts}
    assert unused <= {"ansible.builtin.validate_argument_spec"}, "a module that no role uses"
