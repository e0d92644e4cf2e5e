"""The OpenStack plugin accepts the same credentials as the preflight; they never pass through Pulumi's state or output."""

from pathlib import Path

import pytest

from tests.unit.keystone import PASSWORD, serving
from tests.up.project import Project

PROGRAM = """
import json, os
import pulumi
import pulumi_openstack as openstack
from classroom.configure.resources import openstack_provider

wanted = json.loads(open("wanted.json").read())
first = openstack_provider(wanted.get("cloud"), "north")
openstack.networking.Network("network", name="t", opts=pulumi.ResourceOptions(provider=first))
"""


@pytest.mark.parametrize("credentials", ["password", "clouds.yaml", "wrong password"])
def test_the_plugin_logs_in_only_with_valid_credentials(tmp_path: Path, credentials: str) -> None:
    project = Project.create(tmp_path, "unused")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    with serving() as (url, requests):
        password = "wrong-word-9" if credentials == "wrong password" else PASSWORD
        if credentials == "clouds.yaml":
            auth = f'auth_url: "{url}", username: ada, password: {password}, project_name: classes, user_domain_id: default'
            entry = f"clouds:\n  school:\n    auth: {{{auth}, project_domain_id: default}}\n"
            (tmp_path / "clouds.yaml").write_text(entry)
            project.wanted["cloud"] = "school"
            project.more = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}
        else:
            names = {"AUTH_URL": url, "USERNAME": "ada", "PASSWORD": password, "PROJECT_NAME": "classes"}
            names |= {"USER_DOMAIN_ID": "default", "PROJECT_DOMAIN_ID": "default"}
            project.more = {f"OS_{name}": value for name, value in names.items()}
        project.save()
        answer = project.up()
        tokens = [path for method, path in requests if method == "POST"]
    assert tokens, answer.stdout + answer.stderr
    assert (answer.returncode == 0) == (credentials != "wrong password"), answer.stdout + answer.stderr
    assert ("POST", "/network/v2.0/networks") in requests or credentials == "wrong password"
    assert password not in answer.stdout + answer.stderr + project.state()
