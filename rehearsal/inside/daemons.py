"""Starts the cloud's daemons, inside the lab: `daemons.py [start|status]`; the first start creates the databases.

Runs with the Python of the tools root. Prints a line for every step, with the seconds since the start.
"""

import datetime
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time

API = os.environ["LAB_API"]
ETC, LOG, PIDS = pathlib.Path("/lab/etc"), pathlib.Path("/lab/log"), pathlib.Path("/run/daemons")
NOVA = f"--config-file {ETC}/nova.conf"
NEUTRON = f"--config-file {ETC}/neutron.conf"
PYTHON = "/opt/openstack/bin/python3"
OUTSIDE = json.loads((ETC / "outside.json").read_text())
CLOCKS = " ".join(address for host in OUTSIDE if host["kind"] == "ntp" for address in host["addresses"])
RABBIT = (
    "env HOME=/lab/rabbitmq RABBITMQ_NODENAME=rabbit@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1"
    " RABBITMQ_MNESIA_BASE=/lab/rabbitmq/mnesia RABBITMQ_LOG_BASE=/lab/rabbitmq/log RABBITMQ_CONF_ENV_FILE=/dev/null"
    " RABBITMQ_ENABLED_PLUGINS_FILE=/lab/rabbitmq/plugins ERL_EPMD_ADDRESS=127.0.0.1"
    " /usr/lib/rabbitmq/bin/rabbitmq-server"
)
DAEMONS = {
    "rabbitmq": RABBIT,
    "mariadb": f"mariadbd --defaults-file={ETC}/my.cnf",
    "libvirtd": "libvirtd --timeout 0 -f /etc/libvirt/libvirtd.conf",
    "keystone": f"{PYTHON} /opt/rehearsal/inside/serve_api.py keystone",
    "placement": f"{PYTHON} /opt/rehearsal/inside/serve_api.py placement",
    "glance": f"glance-api --config-file {ETC}/glance-api.conf",
    "nova-api": f"nova-api {NOVA}",
    "nova-conductor": f"nova-conductor {NOVA}",
    "nova-scheduler": f"nova-scheduler {NOVA}",
    "nova-compute": f"nova-compute {NOVA}",
    "neutron-server": f"neutron-server {NEUTRON} --config-file {ETC}/ml2.ini",
    "linuxbridge-agent": f"neutron-linuxbridge-agent {NEUTRON} --config-file {ETC}/linuxbridge.ini",
    "l3-agent": f"neutron-l3-agent {NEUTRON} --config-file {ETC}/l3.ini",
    "dhcp-agent": f"neutron-dhcp-agent {NEUTRON} --config-file {ETC}/dhcp.ini",
    "metadata-agent": f"neutron-metadata-agent {NEUTRON} --config-file {ETC}/metadata.ini",
    "dns": f"dnsmasq --keep-in-foreground --conf-file={ETC}/dnsmasq.conf",
    "package-relay": "socat TCP-LISTEN:3142,bind=192.0.2.20,fork,reuseaddr UNIX-CONNECT:/lab/outside/packages.sock",
    "package-relay6": "socat TCP6-LISTEN:3142,bind=[2001:db8:e::20],fork,reuseaddr UNIX-CONNECT:/lab/outside/packages.sock",
    "time": f"{PYTHON} /opt/rehearsal/inside/serve_time.py 192.0.2.123 2001:db8:e::123 {CLOCKS}",
    "outside": f"{PYTHON} /opt/rehearsal/inside/serve_outside.py {ETC}/outside.json /lab/outside/hosts.d",
    "routes": f"{PYTHON} /opt/rehearsal/inside/announce_routes.py",
}
SERVICES_WITH_HEARTBEAT = (
    "neutron-linuxbridge-agent",
    "neutron-l3-agent",
    "neutron-dhcp-agent",
    "neutron-metadata-agent",
    "nova-conductor",
    "nova-scheduler",
    "nova-compute",
    "hypervisor",
)
START = time.time()
_last_report = START
_first_start = 0.0
"""When this run started its first daemon; 0 if all daemons were already running."""
_waiting_for = "the first daemons"


def report(text: str) -> None:
    """Print one line with the seconds since the start."""
    global _last_report
    _last_report = time.time()
    print(f"{_last_report - START:6.1f} s  {text}", flush=True)


def report_waiting() -> None:
    """Print what a slow step waits for, every ten seconds."""
    while True:
        time.sleep(1)
        if time.time() - _last_report > 10:
            report(f"… waiting for {_waiting_for}")


def wait_for(what: str) -> None:
    """Set what `report_waiting` prints."""
    global _waiting_for
    _waiting_for = what


def pid_of(name: str) -> int | None:
    """Return a daemon's process ID, or None if it is not running."""
    try:
        pid = int((PIDS / name).read_text())
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError):
        return None
    return None if state == "Z" else pid


def start(*names: str) -> None:
    """Start those of the named daemons that are not running."""
    global _first_start
    for name in names:
        if pid_of(name):
            continue
        _first_start = _first_start or time.time()
        with (LOG / f"{name}.out").open("a") as out:
            process = subprocess.Popen(
                DAEMONS[name].split(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                cwd="/lab",
            )
        (PIDS / name).write_text(str(process.pid))


def wait_port(name: str, host: str, port: int, limit: float = 120) -> None:
    """Wait until a daemon accepts connections; exit with the end of its log if it does not within `limit` seconds."""
    wait_for(name)
    end = time.time() + limit
    while time.time() < end:
        try:
            socket.create_connection((host, port), 1).close()
        except OSError:
            if not pid_of(name):
                fail(f"{name} ended", name)
            time.sleep(0.1)
        else:
            report(name)
            return
    fail(f"{name} did not answer on {host}:{port} within {limit:.0f} s", name)


def fail(text: str, name: str) -> None:
    """Exit with a message and the last lines of a daemon's log."""
    tail = (LOG / f"{name}.out").read_text(errors="replace").splitlines()[-12:]
    print("\n".join(tail), file=sys.stderr)
    sys.exit(f"{text}: read its log, {LOG}/{name}.out inside the lab")


def run(log: str, *commands: str) -> "list[subprocess.Popen[bytes]]":
    """Run commands in sequence, in the background, and log to `log`."""
    with (LOG / log).open("a") as out:
        return [subprocess.Popen(["sh", "-ec", " && ".join(commands)], stdout=out, stderr=out)]


def finish(processes: "list[subprocess.Popen[bytes]]", what: str) -> None:
    """Wait for background commands; exit if one of them failed."""
    wait_for(what)
    for process in processes:
        if process.wait():
            sys.exit(f"{what} failed with status {process.returncode}; see the logs db-*.log in {LOG} of the lab")
    report(what)


def first_databases(secrets: "dict[str, str]") -> None:
    """Create the database of every service, in the order of their dependencies."""
    password = secrets["database"]
    names = ["keystone", "glance", "placement", "nova", "nova_api", "nova_cell0", "neutron"]
    statements = [f"create database if not exists {name} character set utf8mb4;" for name in names]
    for host in ("127.0.0.1", "localhost"):
        statements.append(f"create user if not exists os@'{host}' identified by '{password}';")
        statements.append(f"grant all on *.* to os@'{host}';")
    subprocess.run(
        ["mariadb", "-S", "/run/mysql.sock", "-u", "root"], input="\n".join(statements), text=True, check=True
    )
    url = f"http://{API}:5000/v3"
    keystone = f"keystone-manage --config-file {ETC}/keystone.conf"
    os.environ["OS_BOOTSTRAP_PASSWORD"] = secrets["admin"]
    first = run(
        "db-1.log",
        f"{keystone} fernet_setup --keystone-user root --keystone-group root",
        f"{keystone} credential_setup --keystone-user root --keystone-group root",
        f"{keystone} db_sync",
        f"{keystone} bootstrap --bootstrap-region-id {os.environ['OS_REGION_NAME']} --bootstrap-admin-url {url}"
        f" --bootstrap-internal-url {url} --bootstrap-public-url {url}",
        f"glance-manage --config-file {ETC}/glance-api.conf db_sync",
        f"nova-manage {NOVA} api_db sync",
        f"nova-manage {NOVA} cell_v2 map_cell0",
        f"nova-manage {NOVA} cell_v2 create_cell --name cell1",
    )
    second = run(
        "db-2.log",
        f"OS_PLACEMENT_CONFIG_DIR={ETC} placement-manage --config-file {ETC}/placement.conf db sync",
        f"neutron-db-manage --config-file {ETC}/neutron.conf --config-file {ETC}/ml2.ini upgrade heads",
    )
    finish(first, "databases of Keystone, Glance, Nova's API")
    third = run("db-3.log", f"nova-manage {NOVA} db sync")
    start("keystone")
    finish(second, "databases of Placement, Neutron")
    finish(third, "database of Nova")


def not_ready() -> list[str]:
    """Return the services without a heartbeat since the start; older heartbeats count as alive for a minute."""
    import openstack

    since = datetime.datetime.utcfromtimestamp(_first_start).replace(microsecond=0)

    def fresh(text: str | None) -> bool:
        plain = (text or "1970-01-01").replace("T", " ").split(".")[0].rstrip("Z")
        return datetime.datetime.fromisoformat(plain) >= since

    cloud = openstack.connect()
    agents = {a.binary: a.is_alive and fresh(a.last_heartbeat_at) for a in cloud.network.agents()}
    services = {s.binary: s.state == "up" and fresh(s.updated_at) for s in cloud.compute.services()}
    reported = agents | services | {"hypervisor": bool(list(cloud.compute.hypervisors()))}
    return [name for name in SERVICES_WITH_HEARTBEAT if not reported.get(name)]


def up() -> None:
    """Start all daemons in the order of their dependencies and wait until the cloud is ready."""
    secrets = json.loads((ETC / "secrets.json").read_text())
    first = not pathlib.Path("/lab/bootstrapped").exists()
    if first:
        # Files of an interrupted first start are incomplete.
        for name in ("mysql", "keystone", "rabbitmq"):
            shutil.rmtree(f"/lab/{name}", ignore_errors=True)
        for name in ("mysql", "keystone/fernet", "keystone/cred", "rabbitmq/log"):
            pathlib.Path(f"/lab/{name}").mkdir(parents=True, mode=0o700)
        install = ["mariadb-install-db", f"--defaults-file={ETC}/my.cnf", "--user=root", "--skip-test-db"]
        with (LOG / "mariadb-install.out").open("a") as out:
            subprocess.run([*install, "--auth-root-authentication-method=normal"], stdout=out, stderr=out, check=True)
    plugins = pathlib.Path("/lab/rabbitmq/plugins")
    if not plugins.exists():
        plugins.write_text("[].")
    start("rabbitmq", "mariadb", "libvirtd", "dns", "time", "outside", "package-relay", "package-relay6")
    wait_port("mariadb", "127.0.0.1", 3306)
    if first:
        first_databases(secrets)
    start("keystone")
    wait_port("keystone", API, 5000)
    if first:
        subprocess.run([PYTHON, "/opt/rehearsal/inside/seed.py", "accounts"], check=True)
        report("accounts")
    wait_port("rabbitmq", "127.0.0.1", 5672)
    start("placement", "neutron-server", "nova-api", "glance")
    wait_port("placement", API, 8778)
    start("nova-conductor", "nova-scheduler")  # they exit at once if Placement does not answer
    for name, port in (("glance", 9292), ("neutron-server", 9696), ("nova-api", 8774)):
        wait_port(name, API, port)
    start("nova-compute", "linuxbridge-agent", "l3-agent", "dhcp-agent", "metadata-agent", "routes")
    image = subprocess.Popen([PYTHON, "/opt/rehearsal/inside/seed.py", "cloud"])
    end = time.time() + 240
    while True:
        try:
            missing = not_ready()
            if not missing:
                break
            last = ", ".join(missing)
        except Exception as error:  # a daemon that is still starting causes many kinds of errors
            last = str(error)
        wait_for(last)
        if time.time() > end:
            sys.exit(f"the cloud was not ready after 240 s, still missing: {last}")
        time.sleep(1)
    report("all agents and nova-compute")
    wait_for("image, flavours, networks")
    if image.wait():
        sys.exit("creating the image, flavours or networks failed: read the message above")
    report("image, flavours, external network, member project")
    pathlib.Path("/lab/bootstrapped").touch()


if __name__ == "__main__":
    if sys.argv[1:] == ["status"]:
        print(json.dumps({name: pid_of(name) for name in DAEMONS}))
    else:
        threading.Thread(target=report_waiting, daemon=True).start()
        up()
