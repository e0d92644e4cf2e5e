"""Authentication with OpenStack, and the message of each fault."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from classroom.clients import openstack
from classroom.common.errors import ClassroomError, RefusedError, WrongUseError
from tests.unit.keystone import CREDENTIAL, PASSWORD, serving

Asked = list[tuple[str, str]]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[str, Asked]]:
    """Remove all credentials; provide the URL of a Keystone, and the list of requests to it."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    with serving() as found:
        yield found


@pytest.fixture
def password(cloud: tuple[str, Asked], monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "AUTH_URL": cloud[0],
        "USERNAME": "ada",
        "PASSWORD": PASSWORD,
        "PROJECT_NAME": "classes",
        "USER_DOMAIN_NAME": "Default",
        "PROJECT_DOMAIN_ID": "default",
    }.items():
        monkeypatch.setenv(f"OS_{name}", value)
    return cloud[0]


def entry(tmp_path: Path, url: str, word: str = PASSWORD) -> None:
    (tmp_path / "clouds.yaml").write_text(
        f"""
clouds:
  school:
    region_name: north
    auth: {{auth_url: "{url}", username: ada, password: {word}, project_name: classes, user_domain_id: default,
            project_domain_id: default}}
  credential:
    auth_type: v3applicationcredential
    auth: {{auth_url: "{url}", application_credential_id: cred, application_credential_secret: {CREDENTIAL}}}
"""
    )


def refused(name: str | None = None, region: str = "north") -> str:
    with pytest.raises(ClassroomError) as caught:
        openstack.connect(name, region)
    return str(caught.value)


def test_by_password(password: str, cloud: tuple[str, Asked]) -> None:
    found = openstack.connect(None, "north")
    assert found.project == "p1"
    assert found.get("network", "/networks", limit=5) == {"networks": [{"name": "public", "id": "n1"}]}
    assert ("GET", "/network/v2.0/networks?limit=5") in cloud[1]
    assert {path for method, path in cloud[1] if method == "POST"} == {"/identity/v3/auth/tokens"}


def test_by_application_credential(cloud: tuple[str, Asked], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_AUTH_URL", cloud[0])
    monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_ID", "cred")
    monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_SECRET", CREDENTIAL)
    assert openstack.connect(None, "north").project == "p1"
    monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_SECRET", "wrong")
    assert "refuses 'cred'" in refused()


@pytest.mark.parametrize("name", ["school", "credential"])
def test_by_an_entry_of_clouds_yaml(cloud: tuple[str, Asked], tmp_path: Path, name: str) -> None:
    entry(tmp_path, cloud[0])
    assert openstack.connect(name, "north").project == "p1"


def test_by_os_cloud(cloud: tuple[str, Asked], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry(tmp_path, cloud[0])
    monkeypatch.setenv("OS_CLOUD", "school")
    assert openstack.connect(None, "north").project == "p1"


def test_a_wrong_password(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_PASSWORD", "wrong-password-9")
    message = refused()
    assert message.startswith(f"the cloud {password} refuses 'ada': wrong password")
    assert message.endswith("check the OS_* variables") and "wrong-password-9" not in message


def test_an_unreachable_cloud(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_AUTH_URL", "http://127.0.0.1:9/v3")
    message = refused()
    assert message.startswith("the cloud http://127.0.0.1:9/v3 is unreachable (")
    assert message.endswith("check its URL in the OS_* variables, and the network") and "\n" not in message


def test_an_unknown_region(password: str) -> None:
    assert refused(region="south") == "region: the cloud has no 'south'; choose one of: north"


def test_missing_variables_are_named(cloud: tuple[str, Asked], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "OS_AUTH_URL, OS_USERNAME, OS_PASSWORD are not set" in refused()
    monkeypatch.setenv("OS_AUTH_URL", cloud[0])
    monkeypatch.setenv("OS_USERNAME", "ada")
    assert "OS_PASSWORD is not set" in refused()


def test_an_unknown_entry_of_clouds_yaml(cloud: tuple[str, Asked], tmp_path: Path) -> None:
    entry(tmp_path, cloud[0])
    with pytest.raises(WrongUseError, match=r"cloud: 'academy' cannot be used \(.*clouds.yaml"):
        openstack.connect("academy", "north")


def test_credentials_from_two_sources_are_refused(password: str, tmp_path: Path) -> None:
    entry(tmp_path, password)
    assert "OS_AUTH_URL, OS_USERNAME, OS_PASSWORD are set too; unset these" in refused("school")


def test_find_returns_none_for_what_a_project_cannot_read(password: str) -> None:
    found = openstack.connect(None, "north")
    assert found.find("compute", "/nothing") is None
    assert found.console("there") == "hello" and found.console("nowhere") == ""
    with pytest.raises(ClassroomError, match="the cloud's compute service refuses /nothing"):
        found.get("compute", "/nothing")
    with pytest.raises(ClassroomError, match="the cloud's compute service does not answer /limits"):
        found.find("compute", "/limits")


LOGIN, VERSION = ("POST", "/identity/v3/auth/tokens"), ("GET", "/identity/v3")


@pytest.mark.parametrize(
    ("name", "request_"),
    [(None, LOGIN), (None, VERSION), ("school", LOGIN), ("school", VERSION), ("credential", LOGIN)],
)
def test_no_redirect_to_another_host_is_followed(
    cloud: tuple[str, Asked],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    name: str | None,
    request_: tuple[str, str],
) -> None:
    there, elsewhere = cloud
    other = there.replace("127.0.0.1", "localhost").removesuffix("/identity/v3") + request_[1]
    moved = {request_: f"{other}?word=hidden-7"}
    with serving(moved=moved) as (url, asked):
        if name:
            entry(tmp_path, url)
        else:
            request.getfixturevalue("password")
            request.getfixturevalue("monkeypatch").setenv("OS_AUTH_URL", url)
        with pytest.raises(RefusedError) as caught:
            openstack.connect(name, "north")
    assert f"the cloud redirects from '{url}" in str(caught.value)
    assert "to the host 'localhost'" in str(caught.value)
    assert "hidden-7" not in str(caught.value)
    assert asked[-1] == request_
    assert elsewhere == []


@pytest.mark.parametrize(("there", "followed"), [("http://cloud.example:5000/v3/auth", False), ("/v3/auth", True)])
def test_no_redirect_to_http_is_followed(there: str, followed: bool) -> None:
    answer = requests.Response()
    answer.status_code, answer.url = 302, "https://cloud.example:5000/v3"
    answer.headers["location"] = there
    if followed:
        openstack._stays(answer)
        return
    with pytest.raises(openstack.RedirectError, match="to plain HTTP"):
        openstack._stays(answer)


def test_a_redirect_on_the_same_host_is_followed(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = {VERSION: f"{password}/", LOGIN: f"{password}/auth/tokens"}
    with serving(moved=moved) as (url, asked):
        monkeypatch.setenv("OS_AUTH_URL", url)
        assert openstack.connect(None, "north").project == "p1"
        assert asked == [VERSION, LOGIN]


def test_no_redirect_of_another_service_is_followed(
    password: str, cloud: tuple[str, Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for = ("GET", "/compute/v2.1/limits")
    moved = {asked_for: password.replace("127.0.0.1", "localhost")}
    with serving(moved=moved) as (url, asked):
        monkeypatch.setenv("OS_AUTH_URL", url)
        found = openstack.connect(None, "north")
        with pytest.raises(RefusedError, match="to the host 'localhost'"):
            found.get("compute", "/limits")
        assert asked[-1] == asked_for
    assert cloud[1] == []
