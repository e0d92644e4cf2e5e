"""Forty faults on a host: how each is injected and reverted, and which tests of everything on the host must name it.

`named` is a pattern of the line that names the fault, for each kind of test: files, units, processes, mounts, accounts, sockets.
"""

from collections.abc import Mapping
from dataclasses import dataclass

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA mallory"


KEPT = "/root/kept"
"""Folder in which injected faults keep what they replace; it is a fault itself, which the test expects."""


SOCKET = "[Socket]\nListenStream=/run/more.sock\nAccept=yes"
WATCHER = '[Service]\nExecStart=/bin/sh -c "while sleep 0.9; do ss -Htn > /var/log/addresses; done"'


@dataclass(frozen=True)
class HostFault:
    """One fault: shell scripts that inject and revert it as root, and the lines that must name it, by kind of test."""

    inject: str
    revert: str
    named: Mapping[str, str]
    every_time: bool = False


def edited(path: str, line: str) -> tuple[str, str]:
    """Return scripts that append a line to a file, and that restore the file with its times and rights."""
    kept = f"{KEPT}/{path.replace('/', '_')}"
    return f"cp -a {path} {kept}; echo '{line}' >> {path}", f"cp -a {kept} {path}; rm {kept}"


def added(path: str, text: str, mode: str = "0644") -> tuple[str, str]:
    """Return scripts that write a new file, and that remove it."""
    return f"printf '%s\\n' '{text}' > {path}; chmod {mode} {path}", f"rm -f {path}"


def unit(name: str, text: str, *written: str) -> tuple[str, str]:
    """Return scripts that write and start a unit, and that stop and remove it with the files that it has `written`."""
    path = f"/etc/systemd/system/{name}"
    write, remove = added(path, text)
    return (
        f"{write}; systemctl daemon-reload; systemctl start {name}",
        f"systemctl stop {name}; {' '.join((remove, *written))}; systemctl daemon-reload",
    )


def files(path: str) -> dict[str, str]:
    return {"files": f"^{path}: "}


FAULTS: dict[str, HostFault] = {
    # Changes by hand that a verification passed over.
    "a key in the verifier's own folder": HostFault(
        f"install -d -m 700 -o verifier -g verifier /home/verifier/.ssh; echo '{KEY}' > /home/verifier/.ssh/authorized_keys",
        "rm -r /home/verifier/.ssh",
        files("/home/verifier/.ssh/authorized_keys"),
        every_time=True,
    ),
    "a page script with one line more": HostFault(
        "f=$(find /srv/classroom/ -name '*.js' | sort | head -1); cp -a $f /root/kept/page.js; echo '//' >> $f",
        "cp -a /root/kept/page.js $(find /srv/classroom/ -name '*.js' | sort | head -1); rm /root/kept/page.js",
        files(r"/srv/classroom-\w+/.*\.js"),
    ),
    "a changed join service": HostFault(
        *edited("/usr/local/lib/classroom-portal/portal/__main__.py", "# more"),
        files(r"/usr/local/lib/classroom-portal-\w+/portal/__main__\.py"),
        every_time=True,
    ),
    "a service that writes addresses to a disk": HostFault(
        *unit("watcher.service", WATCHER, "/var/log/addresses"),
        {
            "files": "^(/etc/systemd/system/watcher.service|/var/log/addresses): ",
            "units": "^watcher.service: is loaded from /etc/systemd/system/watcher.service",
            "processes": "is not a program that watcher.service starts",
        },
        every_time=True,
    ),
    "an SSH drop-in that allows forwarding": HostFault(
        *added("/etc/ssh/sshd_config.d/99-more.conf", "AllowTcpForwarding yes"),
        files("/etc/ssh/sshd_config.d/99-more.conf"),
    ),
    "a sysctl file": HostFault(
        *added("/etc/sysctl.d/99-more.conf", "kernel.sysrq = 1"), files("/etc/sysctl.d/99-more.conf")
    ),
    "an access log": HostFault(
        *edited("/etc/nginx/nginx.conf", "# access_log /var/log/nginx/access.log;"), files("/etc/nginx/nginx.conf")
    ),
    "LiveKit's log level": HostFault(
        *edited("/etc/classroom/livekit.yaml", "# level: debug"), files("/etc/classroom/livekit.yaml")
    ),
    "an account": HostFault(
        "useradd --system --no-create-home --shell /usr/sbin/nologin mallory",
        "userdel mallory",
        {"accounts": "^mallory: "},
        every_time=True,
    ),
    # Files.
    "a changed program of a package": HostFault(
        *edited("/usr/bin/less", ""), {"files": "^(/usr/bin/less|/etc/alternatives/pager): "}, every_time=True
    ),
    "a changed library": HostFault(
        *edited("/usr/lib/x86_64-linux-gnu/libpopt.so.0.0.2", ""), files("/usr/lib/x86_64-linux-gnu/libpopt.so.0.0.2")
    ),
    "a program in place of a package's": HostFault(
        "cp -a /usr/bin/which.debianutils /root/kept/which; printf '#!/bin/sh\\n' > /usr/bin/which.debianutils",
        "cp -a /root/kept/which /usr/bin/which.debianutils; rm /root/kept/which",
        {"files": "^(/usr/bin/which.debianutils|/etc/alternatives/which): "},
    ),
    "bytecode that is not of its source": HostFault(
        "f=$(ls /usr/lib/python3.13/__pycache__/this.cpython-313.pyc); cp -a $f /root/kept/this; "
        "python3 -c \"import marshal, sys; d = open(sys.argv[1], 'rb').read(16); "
        "open(sys.argv[1], 'wb').write(d + marshal.dumps(compile('import os', 'this', 'exec')))\" $f",
        "cp -a /root/kept/this /usr/lib/python3.13/__pycache__/this.cpython-313.pyc; rm /root/kept/this",
        files(r"/usr/lib/python3.13/__pycache__/this.cpython-313.pyc"),
        every_time=True,
    ),
    "a preloaded library": HostFault(*added("/etc/ld.so.preload", ""), files("/etc/ld.so.preload")),
    "a folder for libraries": HostFault(
        "cp -a /etc/ld.so.cache /root/kept/cache; mkdir /opt/lib; cp /usr/lib/x86_64-linux-gnu/libpopt.so.0.0.2 /opt/lib/libmore.so.1; "
        "ldconfig -X -C /etc/ld.so.cache /opt/lib",
        "cp -a /root/kept/cache /etc/ld.so.cache; rm -r /opt/lib /root/kept/cache",
        {"files": "^/etc/ld.so.cache: |^/opt/lib"},
    ),
    "an authority in the bundle of certificates": HostFault(
        *edited("/etc/ssl/certs/ca-certificates.crt", "-----BEGIN CERTIFICATE-----"),
        files("/etc/ssl/certs/ca-certificates.crt"),
    ),
    "a removed file of a package": HostFault(
        "mv /usr/lib/systemd/system/fstrim.service /root/kept/",
        "mv /root/kept/fstrim.service /usr/lib/systemd/system/",
        files("/usr/lib/systemd/system/fstrim.service"),
    ),
    "a file that others can write": HostFault(
        "chmod 0666 /etc/classroom/portal.json",
        "chmod 0644 /etc/classroom/portal.json",
        files("/etc/classroom/portal.json"),
    ),
    "a secret with another owner": HostFault(
        "chown portal /etc/classroom/secrets/tls.key",
        "chown root /etc/classroom/secrets/tls.key",
        files("/etc/classroom/secrets/tls.key"),
    ),
    "another secret": HostFault(
        *edited("/etc/classroom/secrets/portal.json", ""), files("/etc/classroom/secrets/portal.json")
    ),
    # Setuid bits and capabilities.
    "a setuid shell": HostFault(
        "cp /bin/dash /usr/local/bin/x; chmod 4755 /usr/local/bin/x",
        "rm /usr/local/bin/x",
        files("/usr/local/bin/x"),
        every_time=True,
    ),
    "the setuid bit on a package's program": HostFault(
        "chmod u+s /usr/bin/find", "chmod 0755 /usr/bin/find", files("/usr/bin/find")
    ),
    "a capability of an interpreter": HostFault(
        "python3 -c \"import os; os.setxattr('/usr/bin/perl', 'security.capability', bytes.fromhex('0100000280000000000000000000000000000000'))\"",
        "python3 -c \"import os; os.removexattr('/usr/bin/perl', 'security.capability')\"",
        files("/usr/bin/perl"),
        every_time=True,
    ),
    "a capability of a copied program": HostFault(
        "cp /usr/bin/ping /usr/local/bin/y; python3 -c \"import os; os.setxattr('/usr/local/bin/y', 'security.capability',"
        " bytes.fromhex('0100000200200000000000000000000000000000'))\"",
        "rm /usr/local/bin/y",
        files("/usr/local/bin/y"),
    ),
    # Units, timers, sockets.
    "a drop-in of a unit": HostFault(
        "mkdir /etc/systemd/system/cron.service.d; printf '[Service]\\nNice=5\\n' > /etc/systemd/system/cron.service.d/x.conf;"
        " systemctl daemon-reload",
        "rm -r /etc/systemd/system/cron.service.d; systemctl daemon-reload",
        {
            "files": "^/etc/systemd/system/cron.service.d(/x.conf)?: ",
            "units": "^cron.service: is loaded from /etc/systemd/system/cron.service.d",
        },
    ),
    "a timer": HostFault(
        *unit("more.timer", "[Timer]\nOnCalendar=daily\nUnit=apt-daily.service"),
        {"files": "^/etc/systemd/system/more.timer: ", "units": "^more.timer: "},
        every_time=True,
    ),
    "a timer made at run time": HostFault(
        "systemd-run --quiet --unit=later --on-active=1h /bin/true",
        "systemctl stop later.timer",
        {"units": "^later.(timer|service): ", "files": "^/run/systemd/transient/later"},
    ),
    "a socket unit": HostFault(
        unit("more.socket", SOCKET)[0],
        unit("more.socket", SOCKET)[1] + "; rm -f /run/more.sock",
        {"files": "^(/etc/systemd/system/more.socket|/run/more.sock): ", "units": "^more.socket: "},
    ),
    "a unit that is started at boot": HostFault(
        "ln -s /usr/lib/systemd/system/debug-shell.service /etc/systemd/system/multi-user.target.wants/debug-shell.service",
        "rm /etc/systemd/system/multi-user.target.wants/debug-shell.service",
        files("/etc/systemd/system/multi-user.target.wants/debug-shell.service"),
    ),
    "a masked unit": HostFault(
        "ln -s /dev/null /etc/systemd/system/systemd-tmpfiles-clean.timer",
        "rm /etc/systemd/system/systemd-tmpfiles-clean.timer",
        files("/etc/systemd/system/systemd-tmpfiles-clean.timer"),
    ),
    # Processes.
    "a program that was deleted": HostFault(
        "cp /bin/sleep /dev/shm/sleeper; systemd-run --quiet --unit=sleeper /dev/shm/sleeper 9999; sleep 0.3; rm /dev/shm/sleeper",
        "systemctl stop sleeper.service",
        {"processes": "sleeper", "units": "^sleeper.service: ", "files": "^/run/systemd/transient/sleeper"},
        every_time=True,
    ),
    "a program in another unit's control group": HostFault(
        "setsid sh -c 'echo $$ > /sys/fs/cgroup/system.slice/cron.service/cgroup.procs; exec sleep 9998' </dev/null >/dev/null 2>&1 & sleep 0.3",
        "kill $(pgrep -f '^sleep 9998$')",
        {"processes": "sleep 9998.* is not a program that cron.service starts"},
    ),
    # Accounts.
    "a second root": HostFault(
        "echo 'toor:x:0:0::/root:/bin/sh' >> /etc/passwd; echo 'toor:*:20000::::::' >> /etc/shadow",
        "sed -i /^toor:/d /etc/passwd /etc/shadow",
        {"accounts": "^(toor|root): |/etc/shadow: toor"},
    ),
    "a member of a group": HostFault(
        "gpasswd --add portal shadow", "gpasswd --delete portal shadow", {"accounts": "^group shadow "}
    ),
    # Keys and sudo.
    "a key in root's folder": HostFault(
        *added("/root/.ssh/authorized_keys", KEY, "0600"), files("/root/.ssh/authorized_keys")
    ),
    "a key of the server": HostFault(
        *added("/etc/ssh/authorized_keys.d/debian", KEY), files("/etc/ssh/authorized_keys.d/debian"), every_time=True
    ),
    "a sudo rule": HostFault(
        *added("/etc/sudoers.d/more", "portal ALL=(ALL) NOPASSWD: /bin/true", "0440"),
        files("/etc/sudoers.d/more"),
    ),
    "a line in sudo's own file": HostFault(*edited("/etc/sudoers", "# more"), files("/etc/sudoers")),
    # Mounts.
    "a mount over settings": HostFault(
        "mount -t tmpfs none /etc/logrotate.d",
        "umount /etc/logrotate.d",
        {"mounts": "^/etc/logrotate.d: ", "files": "^/etc/logrotate.d"},
    ),
    "a mount that hides a process": HostFault(
        "mount --bind /tmp /proc/1/map_files", "umount /proc/1/map_files", {"mounts": "^/proc/1/map_files: "}
    ),
    # Jobs.
    "a job of cron": HostFault(
        *added("/etc/cron.d/more", "0 0 1 1 * root true"), files("/etc/cron.d/more"), every_time=True
    ),
    "a job of root": HostFault(
        *added("/var/spool/cron/crontabs/root", "0 0 1 1 * true", "0600"), files("/var/spool/cron/crontabs/root")
    ),
    # Sockets.
    "a socket that reads packets": HostFault(
        "systemd-run --quiet --unit=reader /usr/bin/python3 -c "
        "'import socket, time; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 768); time.sleep(9997)'; sleep 0.5",
        "systemctl stop reader.service",
        {
            "sockets": "^packet: a socket of root",
            "units": "^reader.service: ",
            "files": "^/run/systemd/transient/reader",
        },
    ),
    "a hidden socket": HostFault(
        "systemd-run --quiet --unit=hidden /usr/bin/python3 -c "
        "'import socket, time; s = socket.socket(socket.AF_UNIX); s.bind(chr(0) + \"evil\"); s.listen(); time.sleep(9996)'; sleep 0.5",
        "systemctl stop hidden.service",
        {
            "sockets": "^unix: an unknown socket @evil",
            "units": "^hidden.service: ",
            "files": "^/run/systemd/transient/hidden",
        },
    ),
}
