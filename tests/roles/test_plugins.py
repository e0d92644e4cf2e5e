"""Tests the filter and lookup plugins of the roles without Ansible."""

import hashlib
import importlib.util
import ipaddress
import tarfile
from pathlib import Path
from types import ModuleType

import pytest
from ansible.errors import AnsibleError
from ansible.plugins.loader import lookup_loader

from ansible import constants
from tests.roles.play import ANSIBLE, Authority


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


filters = load(ANSIBLE / "filter_plugins" / "classroom.py")


def test_address_in_matches_networks_of_both_families() -> None:
    assert filters.address_in("198.51.100.7", ["2001:db8::/32", "198.51.100.0/24"])
    assert filters.address_in("2001:db8::1", ["2001:db8::/32"])
    assert not filters.address_in("198.51.101.7", ["198.51.100.0/24", "::/0"])
    with pytest.raises(AnsibleError, match="not an address or a network"):
        filters.address_in("198.51.100.7", ["198.51.100.0/33"])


def test_all_but_covers_every_other_address() -> None:
    networks = [ipaddress.ip_network(n) for n in filters.all_but(["203.0.113.7", "", "2001:db8::7"])]
    for address, inside in {
        "203.0.113.7": False,
        "203.0.113.6": True,
        "203.0.113.8": True,
        "10.0.0.1": True,
        "255.255.255.255": True,
        "2001:db8::7": False,
        "2001:db8::6": True,
        "::1": True,
    }.items():
        assert any(ipaddress.ip_address(address) in n for n in networks) == inside, address
    sizes = {version: sum(n.num_addresses for n in networks if n.version == version) for version in (4, 6)}
    assert sizes == {4: 2**32 - 1, 6: 2**128 - 1}


def test_a_valid_certificate_has_no_faults() -> None:
    chain, key = Authority().issue(["class.example", "*.class.example"], days=90)
    found = filters.certificate_check(chain, key, ["class.example", "turn1.class.example"])
    assert found["faults"] == []
    assert found["days_left"] == 90


@pytest.mark.parametrize(
    ("names", "days", "change", "fault"),
    [
        (["class.example"], -1, {}, "expired on"),
        (["class.example"], 90, {"chain": "nothing"}, "certificate: contains no readable PEM certificate"),
        (["other.example"], 90, {}, "not for class.example"),
        (["*.example.org"], 90, {}, "not for class.example"),
        (["class.example"], 90, {"key": Authority().issue(["x"])[1]}, "certificate_key: does not match"),
        (["class.example"], 90, {"key": "nothing"}, "certificate_key: contains no readable PEM private key"),
        (["class.example"], 90, {"issuer": Authority().pem}, "is not issued by"),
    ],
)
def test_a_bad_certificate_is_named_with_its_fault(
    names: list[str], days: int, change: dict[str, str], fault: str
) -> None:
    chain, key = Authority().issue(names, days=days)
    if "issuer" in change:
        leaf = chain.split("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n"
        chain = leaf + change["issuer"]
    found = filters.certificate_check(change.get("chain", chain), change.get("key", key), ["class.example"])
    assert any(fault in sentence for sentence in found["faults"]), found


def test_a_tree_is_named_by_its_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    lookup_loader.add_directory(str(ANSIBLE / "lookup_plugins"))
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("one")
    (folder / "assets" / "app.js").write_text("two")
    (folder / "assets" / "app.js").chmod(0o600)
    first = lookup_loader.get("tree").run([str(folder)], name="page")[0]
    assert lookup_loader.get("tree").run([str(folder)], name="page")[0] == first
    with tarfile.open(first["archive"]) as tar:
        members = {m.name.removeprefix(first["folder"]): m for m in tar.getmembers()}
    assert list(members)[-1] == "/.complete"
    assert set(members) == {"", "/assets", "/index.html", "/assets/app.js", "/.complete"}
    assert members["/assets/app.js"].mode == 0o644
    assert members["/assets"].mode == 0o755
    (folder / "index.html").write_text("three")
    assert lookup_loader.get("tree").run([str(folder)], name="page")[0]["folder"] != first["folder"]
    with pytest.raises(AnsibleError, match="make install"):
        lookup_loader.get("tree").run([str(tmp_path / "nowhere")], name="page")


trees = load(ANSIBLE / "library" / "trees.py")


def test_a_tree_differs_if_a_file_is_changed_or_missing_and_foreign_files_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "as_unpacked", lambda path, mode: not path.lstat().st_mode & 0o022)
    top = tmp_path / "tree-1"
    (top / "inner").mkdir(parents=True)
    (top / "inner" / "file").write_text("text")
    files = {"inner/file": hashlib.sha256(b"text").hexdigest()}
    assert trees.compare(top, files) == (False, [])
    assert trees.compare(top, files | {"more": "0" * 64}) == (True, [])
    assert trees.compare(tmp_path / "tree-2", files) == (True, [])
    (top / "inner" / "file").write_text("other")
    assert trees.compare(top, files) == (True, [])
    (top / "inner" / "file").write_text("text")
    (top / "inner" / "file").chmod(0o666)
    assert trees.compare(top, files) == (True, [])
    (top / "inner" / "file").chmod(0o644)
    (top / "foreign").mkdir()
    (top / "foreign" / "file").write_text("x")
    (top / "inner" / "link").symlink_to("file")
    differs, foreign = trees.compare(top, files)
    assert (differs, sorted(foreign)) == (False, [top / "foreign", top / "inner" / "link"])
    for path in foreign:
        trees.remove(path)
    assert trees.compare(top, files) == (False, [])
    (top / "inner" / "file").unlink()
    (top / "inner" / "file").symlink_to("/etc/passwd")
    assert trees.compare(top, files) == (True, [top / "inner" / "file"])
