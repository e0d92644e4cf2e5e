"""Any clouds.yaml and any `OS_*` variables: credentials, or one sentence with the fix; never a request, never another error."""

import datetime
import ipaddress
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from classroom.clients import openstack
from classroom.clients.cloud_settings import from_environment
from classroom.common.errors import ClassroomError, WrongUseError
from tests.unit.config.spellings import certificate, key_pem, pem
from tests.unit.keystone import CREDENTIAL, PASSWORD, serving

URL = "https://cloud.example:5000/v3"
GOOD = {"auth_url": URL, "username": "ada", "password": "hidden-word-7", "project_name": "classes"}
CREDENTIALS = {"auth_url": URL, "application_credential_id": "cred", "application_credential_secret": "hidden-word-7"}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove all credentials, and use the clouds.yaml of the test alone."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail on any connection and any resolution of a name."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a request, although the policy has not been applied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def write(tmp_path: Path, content: Any) -> None:
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (tmp_path / "clouds.yaml").write_text(text)


def refused(name: str | None = "school") -> str:
    with pytest.raises(ClassroomError) as caught:
        openstack.cloud_credentials(name, "north")
    message = str(caught.value)
    assert "\n" not in message and "hidden-word-7" not in message
    return message


@pytest.mark.parametrize(
    "entry",
    [
        {"auth": GOOD},
        {"auth": CREDENTIALS},
        {"auth": CREDENTIALS, "auth_type": "v3applicationcredential"},
        {"auth": GOOD, "auth_type": "password", "regions": ["north", "south"]},
        {"auth": GOOD | {"user_domain_name": "Default", "project_domain_id": "d"}, "auth_type": "v3password"},
        {"auth": GOOD, "interface": "internal", "identity_api_version": "3"},
        {"auth": {"auth_url": URL, "token": "hidden-word-7", "project_id": "p"}, "auth_type": "v3token"},
        {
            "auth": {k: v for k, v in CREDENTIALS.items() if k[-2:] != "id"}
            | {"application_credential_name": "c", "username": "ada", "user_domain_id": "d"}
        },
    ],
)
def test_entries_that_are_accepted(offline: None, tmp_path: Path, entry: dict[str, Any]) -> None:
    write(tmp_path, {"clouds": {"school": entry}})
    assert openstack.cloud_credentials("school", "north").auth_url == URL


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["no entries below `clouds:`"]),
        ("clouds:\n", ["no entries below `clouds:`"]),
        ("clouds: [school]\n", ["no entries below `clouds:`"]),
        ("clouds:\n  school:\n", ["the entry is empty", "auth_url"]),
        ("clouds:\n  school: {auth: }\n", ["section `auth` is empty"]),
        ("clouds:\n  school: {region_name: north}\n", ["`auth`"]),
        ("clouds:\n  scool: {auth: {auth_url: x}}\n", ["'school'", "did you mean 'scool'? Set `cloud` to it"]),
        ("clouds:\n  school: {auth: {auth_url: 'https://a', password: hidden-word-7}\n", ["line ", "not valid YAML"]),
        (
            {"clouds": {"school": {"auth": {k: v for k, v in CREDENTIALS.items() if "secret" not in k}}}},
            ["application_credential_secret"],
        ),
        (
            {"clouds": {"school": {"auth": {k: v for k, v in CREDENTIALS.items() if k != "auth_url"}}}},
            ["lacks auth_url"],
        ),
        ({"clouds": {"school": {"auth": GOOD | {"password": 1234567}}}}, ["password", "in quotes"]),
        (
            {"clouds": {"school": {"auth": GOOD | {"auth_url": "cloud.example"}}}},
            ["auth_url", "'cloud.example' is not a URL"],
        ),
        (
            {"clouds": {"school": {"auth": GOOD | {"auth_url": "https://ada:hidden-word-7@cloud.example"}}}},
            ["user name or password"],
        ),
        (
            {"clouds": {"school": {"auth": CREDENTIALS, "auth_type": "v3applicationcredentials"}}},
            ["'v3applicationcredentials' is not supported", "did you mean v3applicationcredential?"],
        ),
        (
            {"clouds": {"school": {"auth": GOOD, "auth_type": "v3password"}}},
            ["lacks user_domain_name, project_domain_name", "often Default"],
        ),
        (
            {"clouds": {"school": {"auth": GOOD, "auth_type": "v3oidcpassword"}}},
            ["'v3oidcpassword' is not supported; create an application credential"],
        ),
        ({"clouds": {"school": {"auth": GOOD, "profile": "ovh"}}}, ["profile: ovh", "https://auth.cloud.ovh.net"]),
        (
            {"clouds": {"school": {"auth": GOOD, "cloud": "citycloud"}}},
            ["profile: citycloud", "citycloud.com:5000/v3/"],
        ),
        (
            {"clouds": {"school": {"auth": GOOD, "profile": "never-heard-of"}}},
            ["profile: never-heard-of", "remove the line"],
        ),
        (
            {"clouds": {"school": {"auth": GOOD, "profile": "https://cloud.example"}}},
            ["'https://cloud.example'", "not allowed"],
        ),
        (
            {"clouds": {"school": {"auth": GOOD, "cacert": "/nowhere/ca.pem"}}},
            ["cacert", "'/nowhere/ca.pem'", "No such file"],
        ),
        (
            {"clouds": {"school": {"auth": GOOD, "regions": ["south"]}}},
            ["north", "not a valid region", "set `region` to one that the entry has"],
        ),
        ({"clouds": {"school": {"auth": GOOD, "regions": 7}}}, ["cannot be used"]),
    ],
)
def test_entries_that_are_refused(offline: None, tmp_path: Path, content: Any, words: list[str]) -> None:
    write(tmp_path, content)
    message = refused()
    assert [word for word in words if word not in message] == [], message


def test_a_missing_file_is_named(offline: None) -> None:
    assert "there is no clouds.yaml" in refused() or "is not in " in refused()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"OS_AUTH_TYPE": "v3pasword"}, ["OS_AUTH_TYPE", "'v3pasword'", "did you mean v3password?"]),
        ({"OS_AUTH_URL": "cloud"}, ["OS_AUTH_URL", "'cloud' is not a URL"]),
        ({"OS_CACERT": "/nowhere/ca.pem"}, ["OS_CACERT", "'/nowhere/ca.pem'", "No such file"]),
        ({"OS_CACERT": "~/nowhere/ca.pem"}, ["OS_CACERT", "'~/nowhere/ca.pem'", "No such file"]),
        ({"OS_CACERT": "/etc/passwd"}, ["OS_CACERT", "no readable PEM certificate"]),
        ({"OS_CACERT": "/etc"}, ["OS_CACERT", "Is a directory"]),
        ({"OS_CERT": "/nowhere/a", "OS_KEY": "/nowhere/b"}, ["OS_CERT"]),
        ({"OS_APPLICATION_CREDENTIAL_ID": "cred"}, ["OS_APPLICATION_CREDENTIAL_SECRET is not set"]),
        (
            {"OS_APPLICATION_CREDENTIAL_NAME": "c", "OS_USERNAME": ""},
            ["OS_APPLICATION_CREDENTIAL_SECRET, OS_USERNAME are not set"],
        ),
    ],
)
def test_variables_that_are_refused(
    offline: None, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], words: list[str]
) -> None:
    for name, value in ({f"OS_{key.upper()}": value for key, value in GOOD.items()} | changes).items():
        monkeypatch.setenv(name, value)
    message = refused(None)
    assert [word for word in words if word not in message] == [], message


def test_a_quoted_tilde_is_the_home_folder(offline: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(pem(certificate("authority", None, authority=True)))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = {f"OS_{key.upper()}": value for key, value in GOOD.items()} | {"OS_CACERT": "~/ca.pem"}
    assert from_environment(found).verify == str(tmp_path / "ca.pem")


# What the plugin reads otherwise.

OTHER = "https://other.example:5000/v3"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Provide an empty home folder and an empty working folder, in which both libraries look for files."""
    folder = tmp_path / "home" / ".config" / "openstack"
    folder.mkdir(parents=True)
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("OS_CLIENT_CONFIG_FILE")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(tmp_path / "work")
    for name, files in {"CONFIG": ("clouds",), "SECURE": ("secure",), "VENDOR": ("clouds-public",)}.items():
        found = [
            str(place / f"{stem}{ending}")
            for stem in files
            for place in (tmp_path / "work", folder, Path("/etc/openstack"))
            for ending in (".yaml", ".yml", ".json")
        ]
        monkeypatch.setattr(f"openstack.config.loader.{name}_FILES", found)
    return folder


def entries(**auth: Any) -> str:
    """Return a file with one entry, as JSON, which is YAML too."""
    return json.dumps({"clouds": {"school": {"auth": auth}}})


def test_an_entry_with_its_secrets_beside_it_is_read_alike(home: Path) -> None:
    (home / "clouds.yaml").write_text(entries(**{key: value for key, value in GOOD.items() if key != "password"}))
    (home / "secure.yaml").write_text(entries(password="hidden-word-7"))
    assert openstack.cloud_credentials("school", "north").auth_url == URL


@pytest.mark.parametrize(
    ("files", "variables", "keys"),
    [
        ({"clouds.yaml": GOOD, "own": {"auth_url": OTHER}}, {"OS_CLIENT_SECURE_FILE": "own"}, "auth: auth_url"),
        ({"clouds.yaml": GOOD, "secure.json": {"auth_url": OTHER}}, {}, "auth: auth_url"),
        (
            {"clouds.yml": GOOD | {"auth_url": OTHER}, "../../../work/clouds.json": GOOD},
            {},
            "auth: auth_url",
        ),
        ({"clouds.json": GOOD}, {}, "does not find it"),
        (
            {"clouds.yaml": {k: v for k, v in GOOD.items() if k != "project_name"} | {"tenant_name": "classes"}},
            {},
            "project_name",
        ),
        ({"clouds.yaml": GOOD}, {"OS_PROJECT_ID": "other"}, "auth: project_id"),
        ({"clouds.yaml": GOOD}, {"OS_USER_DOMAIN_NAME": "other"}, "auth: user_domain_name"),
        ({"clouds.yaml": GOOD}, {"OS_AUTH_TOKEN": "hidden-word-7"}, "auth: token"),
        ({"clouds.yaml": GOOD | {"auth_url": "https://{region_name}.cloud.example/v3"}}, {}, "auth: auth_url"),
    ],
)
def test_an_entry_that_the_plugin_reads_otherwise_is_refused(
    offline: None, home: Path, monkeypatch: pytest.MonkeyPatch, files: Any, variables: dict[str, str], keys: str
) -> None:
    for name, auth in files.items():
        (home / name).write_text(entries(**auth))
    for name, value in variables.items():
        monkeypatch.setenv(name, str(home / value) if value in files else value)
    message = refused()
    assert keys in message and str(home / "clouds.yaml") in message, message
    assert "other" not in message.replace("read other files", "").replace("other OS_", "")


def test_a_vendor_file_that_the_plugin_does_not_read_is_refused(
    offline: None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """openstacksdk takes the profile from a file that only it reads."""
    without = {key: value for key, value in GOOD.items() if key != "auth_url"}
    (home / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"school": {"profile": "mine", "auth": without}}}))
    for name in ("clouds-public.json", "clouds-public.yaml"):
        (home / name).write_text(json.dumps({"public-clouds": {"mine": {"auth": {"auth_url": URL}}}}))
    (home / "clouds-public.yaml").unlink()
    assert "profile" in refused() or "does not find it" in refused()
    (home / "clouds-public.yaml").write_text(yaml.safe_dump({"public-clouds": {"mine": {"auth": {"auth_url": URL}}}}))
    assert openstack.cloud_credentials("school", "north").auth_url == URL


def test_a_secret_that_yaml_reads_as_a_number_is_refused(home: Path) -> None:
    """`0123` is 83 for one library and 0123 for the other."""
    (home / "clouds.yaml").write_text(entries(**{key: value for key, value in GOOD.items() if key != "password"}))
    (home / "secure.yaml").write_text("clouds: {school: {auth: {password: 0123}}}")
    assert "read auth: password differently" in refused()


@pytest.mark.parametrize(
    "more",
    [
        {"verify": "no"},
        {"verify": "false"},
        # The plugin does not let a region's empty value replace another.
        {"regions": [{"name": "north", "values": {"verify": False}}]},
    ],
)
def test_a_check_of_certificates_that_is_read_differently_is_refused(home: Path, more: dict[str, Any]) -> None:
    (home / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"school": {"auth": GOOD, **more}}}))
    assert "read verify differently" in refused()


@pytest.mark.parametrize("key", ["verify", "insecure"])
def test_an_entry_without_the_check_of_certificates_is_reported(home: Path, key: str) -> None:
    for value in (True, False):
        (home / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"school": {"auth": GOOD, key: value}}}))
        found = openstack.cloud_credentials("school", "north").unsafe
        assert (found == ()) == (value == (key == "verify"))
        assert found == () or found[0].startswith(
            f"{key}: is set to {value} in the entry 'school' of clouds.yaml, so that"
        )


def test_a_region_s_own_values_are_read_alike(home: Path) -> None:
    regions = [{"name": "north", "values": {"auth": {"auth_url": OTHER}}}, {"name": "south", "values": {}}]
    (home / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"school": {"auth": GOOD, "regions": regions}}}))
    assert openstack.cloud_credentials("school", "north").auth_url == OTHER


def test_certificates_of_variables_and_entry_must_agree(
    offline: None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one.pem", "two.pem"):
        (home / name).write_text(pem(certificate("authority", None, authority=True)))
    entry = {"auth": GOOD, "cacert": str(home / "one.pem")}
    (home / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"school": entry}}))
    monkeypatch.setenv("OS_CACERT", str(home / "two.pem"))
    assert "read cacert differently" in refused()
    monkeypatch.setenv("OS_CACERT", str(home / "one.pem"))
    openstack.cloud_credentials("school", "north")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"OS_TENANT_NAME": "other"}, "OS_PROJECT_NAME, OS_TENANT_NAME"),
        ({"OS_PROJECT_ID": "p", "OS_TENANT_ID": "q"}, "OS_PROJECT_ID, OS_TENANT_ID"),
        ({"OS_AUTH_TOKEN": "hidden-word-7"}, "OS_AUTH_TOKEN"),
        ({"OS_AUTH_TOKEN": "hidden-word-7", "OS_TOKEN": "hidden-word-8"}, "OS_TOKEN, OS_AUTH_TOKEN"),
    ],
)
def test_variables_that_the_plugin_reads_otherwise_are_refused(
    offline: None, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str
) -> None:
    for name, value in ({f"OS_{key.upper()}": value for key, value in GOOD.items()} | variables).items():
        monkeypatch.setenv(name, value)
    message = refused(None)
    assert f"ambiguous: {words} would be read differently" in message and "hidden-word-8" not in message
    monkeypatch.setenv("OS_TENANT_NAME", GOOD["project_name"])


def test_both_names_of_a_project_may_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {f"OS_{key.upper()}": value for key, value in GOOD.items()}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OS_TENANT_NAME", GOOD["project_name"])
    assert openstack.cloud_credentials(None, "north").unsafe == ()


@pytest.mark.parametrize("value", ["1", "t", "T", "true", "True", "yes", "on"])
@pytest.mark.parametrize("entry", [None, "school"])
def test_a_certificate_that_is_not_checked_is_reported(
    home: Path, monkeypatch: pytest.MonkeyPatch, value: str, entry: str | None
) -> None:
    if entry:
        (home / "clouds.yaml").write_text(entries(**GOOD))
    else:
        for name, one in GOOD.items():
            monkeypatch.setenv(f"OS_{name.upper()}", one)
    monkeypatch.setenv("OS_INSECURE", value)
    (fault,) = openstack.cloud_credentials(entry, "north").unsafe
    assert fault.startswith("OS_INSECURE: is set, so that")
    for off in ("0", "f", "F", "false", "False", "FALSE", ""):
        monkeypatch.setenv("OS_INSECURE", off)
        assert openstack.cloud_credentials(entry, "north").unsafe == ()


@pytest.mark.parametrize(("url", "safe"), [
    ("http://cloud.example:5000/v3", False), ("HTTP://203.0.113.7/v3", False), ("http://[2001:db8::7]/v3", False),
    ("http://127.0.0.1:5000/v3", True), ("http://[::1]:5000/v3", True), ("http://localhost:5000/v3", True),
    ("http://localhost.example/v3", False), ("http://127.0.0.1.example/v3", False), (URL, True),
])  # fmt: skip
def test_plain_http_is_reported_unless_it_stays_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, url: str, safe: bool
) -> None:
    for name, value in (GOOD | {"auth_url": url}).items():
        monkeypatch.setenv(f"OS_{name.upper()}", value)
    found = openstack.cloud_credentials(None, "north").unsafe
    assert (found == ()) == safe
    assert safe or ("OS_AUTH_URL" in found[0] and "in clear" in found[0])


SECRET = st.sampled_from(["hidden-word-7", "hidden {region}", "0123", 123, True, None, ""])
TEXT = st.sampled_from(["ada", "north", "", "p", 7, None, ["x"], "é"])
AUTH = st.fixed_dictionaries(
    {"auth_url": st.sampled_from([URL, URL, "https://{region_name}.cloud.example/v3", "http://[", "", None, 5])},
    optional={
        "username": TEXT,
        "password": SECRET,
        "project_name": TEXT,
        "token": SECRET,
        "application_credential_id": TEXT,
        "application_credential_secret": SECRET,
        "user_domain_id": TEXT,
    },
)
ENTRY = st.fixed_dictionaries(
    {"auth": st.one_of(st.just(GOOD), st.just(CREDENTIALS), AUTH, TEXT)},
    optional={
        "auth_type": st.sampled_from(["password", "v3applicationcredential", "v3pasword", "none", 3]),
        "profile": st.sampled_from(["", "ovh", "vexxhost", "https://vexxhost.com"]),
        "regions": st.sampled_from([["north"], ["south"], [], [{"name": "north"}], [7], "north"]),
        "cacert": st.sampled_from(["", "/nowhere", "~unknown-account/x"]),
        "verify": st.sampled_from([True, False, "no"]),
        "interface": TEXT,
        "networks": TEXT,
        "identity_api_version": TEXT,
    },
)
USUAL = st.fixed_dictionaries(
    {"auth": st.sampled_from([GOOD, CREDENTIALS])},
    optional={"interface": st.just("public"), "regions": st.just(["north"])},
)
CLOUDS = st.booleans().flatmap(lambda usual: USUAL if usual else ENTRY).map(lambda entry: {"clouds": {"school": entry}})


def test_any_clouds_yaml(offline: None, tmp_path: Path) -> None:
    verdicts: list[bool] = []

    @trials(deadline=None, max_examples=120, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(CLOUDS)
    def one(content: Any) -> None:
        write(tmp_path, content)
        verdicts.append(accepted("school"))

    one()
    assert_both(verdicts)


def test_any_variables(offline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts: list[bool] = []
    words = st.sampled_from(["ada", URL, "", "é", "/nowhere", "v3password", "http://["])
    names = [*GOOD, *CREDENTIALS, "auth_type", "cacert", "cert", "key", "insecure", "token", "tenant_name", "interface"]
    usual = st.sampled_from([GOOD, CREDENTIALS])
    changes = st.one_of(st.just({}), st.just({}), st.dictionaries(st.sampled_from(names), words, max_size=3))

    @trials(deadline=None, max_examples=120, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(usual, changes)
    def one(values: dict[str, str], changed: dict[str, str]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            for key, value in (values | changed).items():
                patch.setenv(f"OS_{key.upper()}", value)
            verdicts.append(accepted(None))

    one()
    assert_both(verdicts)


def accepted(name: str | None) -> bool:
    """Return whether credentials are accepted; a refusal is one sentence without a secret."""
    try:
        openstack.cloud_credentials(name, "north")
    except WrongUseError as error:
        message = str(error)
    else:
        return True
    assert "\n" not in message and "hidden" not in message
    return False


def assert_both(verdicts: list[bool]) -> None:
    assert len(verdicts) / 3 <= sum(verdicts) <= len(verdicts) * 2 / 3, (sum(verdicts), len(verdicts))


@pytest.fixture
def silent() -> Iterator[str]:
    """Provide the URL of a server that accepts connections and sends a byte every second, without an end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def drip() -> None:
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:
                    return
                threading.Thread(target=send, args=(kept[-1],), daemon=True).start()

        def send(connection: socket.socket) -> None:
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                for _ in range(100):
                    connection.sendall(b"X: y\r\n")
                    time.sleep(0.1)
            except OSError:
                return

        threading.Thread(target=drip, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v3"
        for connection in kept:
            connection.close()


def test_a_keystone_without_an_end_is_given_up(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert openstack.TOKEN_SECONDS <= 30 and openstack.ANSWER_SECONDS <= 30
    monkeypatch.setattr(openstack, "TOKEN_SECONDS", 1.0)
    for key, value in (GOOD | {"auth_url": silent}).items():
        monkeypatch.setenv(f"OS_{key.upper()}", value)
    start = time.monotonic()
    with pytest.raises(ClassroomError, match=r"does not answer within 1 s; check its URL in the OS_\* variables"):
        openstack.connect(None, "north")
    assert time.monotonic() - start < 5


def test_a_service_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch, silent: str) -> None:
    monkeypatch.setattr(openstack, "ANSWER_SECONDS", 1.0)
    for key, value in (
        GOOD | {"password": PASSWORD, "user_domain_id": "default", "project_domain_id": "default"}
    ).items():
        monkeypatch.setenv(f"OS_{key.upper()}", value)
    with serving(elsewhere={"compute": silent}) as (url, _):
        monkeypatch.setenv("OS_AUTH_URL", url)
        found = openstack.connect(None, "north")
        with pytest.raises(ClassroomError, match="compute service does not answer /flavors"):
            found.get("compute", "/flavors")


def test_a_region_without_machines_is_refused() -> None:
    def end(region: str) -> dict[str, str]:
        return {"region": region, "url": URL}

    catalog = [{"type": "compute", "endpoints": [end("GRA11")]}, {"type": "object-store", "endpoints": [end("GRA")]}]
    openstack._check_region("GRA11", catalog)
    with pytest.raises(WrongUseError, match="region: the cloud has no machines in 'GRA'; choose one of: GRA11"):
        openstack._check_region("GRA", catalog)
    with pytest.raises(WrongUseError, match="region: the cloud has no 'SBG'; choose one of: GRA11"):
        openstack._check_region("SBG", catalog)


def test_an_application_credential_without_a_kind_and_a_version_logs_in(tmp_path: Path) -> None:
    with serving() as (url, asked):
        auth = CREDENTIALS | {"auth_url": url.removesuffix("/v3"), "application_credential_secret": CREDENTIAL}
        write(tmp_path, {"clouds": {"school": {"auth": auth}}})
        assert openstack.connect("school", "north").project == "p1"
        assert ("POST", "/identity/v3/auth/tokens") in asked


def test_a_user_without_a_domain_gets_the_fitting_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as (url, _):
        for key, value in (GOOD | {"auth_url": url}).items():
            monkeypatch.setenv(f"OS_{key.upper()}", value)
        with pytest.raises(WrongUseError, match=r"for 'ada' \(.*domain in user.*OS_USER_DOMAIN_NAME"):
            openstack.connect(None, "north")


@pytest.mark.parametrize("days", [(1, 60), (-60, -1)])
def test_a_certificate_of_the_cloud_that_is_not_valid_today_points_to_the_clock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, days: tuple[int, int]
) -> None:
    """A clock that is wrong makes a certificate too new or too old, and another CA file would not help."""
    key = ec.generate_private_key(ec.SECP256R1())
    now, name = datetime.datetime.now(datetime.UTC), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cloud")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now + datetime.timedelta(days[0])).not_valid_after(now + datetime.timedelta(days[1]))
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    (tmp_path / "cloud.pem").write_text(pem((made.sign(key, hashes.SHA256()), key)) + key_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cloud.pem")
    with context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True) as server:

        def refuse() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        threading.Thread(target=refuse, daemon=True).start()
        for variable, value in (GOOD | {"auth_url": f"https://127.0.0.1:{server.getsockname()[1]}/v3"}).items():
            monkeypatch.setenv(f"OS_{variable.upper()}", value)
        monkeypatch.setenv("OS_CACERT", str(tmp_path / "cloud.pem"))
        with pytest.raises(ClassroomError) as caught:
            openstack.connect(None, "north")
    message = str(caught.value)
    assert (
        "is not valid today" in message and "check the clock of this machine" in message and "OS_CACERT" not in message
    )
    assert f"{now:%Y-%m-%d}" in message


def test_a_clock_that_is_fast_does_not_make_a_token_useless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that seems to have expired is used, although another is requested for the next request."""
    for key, value in (
        GOOD | {"password": PASSWORD, "user_domain_id": "default", "project_domain_id": "default"}
    ).items():
        monkeypatch.setenv(f"OS_{key.upper()}", value)
    with serving() as (url, asked):
        monkeypatch.setenv("OS_AUTH_URL", url)
        monkeypatch.setattr("tests.unit.keystone.EXPIRES", "2001-01-01T00:00:00.000000Z")
        found = openstack.connect(None, "north")
        assert found.get("network", "/networks")["networks"]
        assert 1 <= asked.count(("POST", "/identity/v3/auth/tokens")) <= 4, asked
