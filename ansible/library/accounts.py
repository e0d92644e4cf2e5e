"""Who has access to a host: administrators and the verifier; former administrators go, the image's account is locked."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import signal
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: accounts
short_description: leaves access to administrators and the verifier alone
description:
  - Every other account with an ordinary number, and every other member of the administrators' group, is removed with its
    processes, jobs and files; accounts of the system only leave the group.
  - The image's account is locked and loses keys, groups and sessions; it is not removed, as cloud-init would make it anew.
  - Keys in home folders, and files of keys and sudo rights that are not the project's, are removed.
  - Check mode is supported.
options:
  administrators: {description: Names of the administrators., type: list, elements: str, required: true}
  group: {description: The administrators' group., type: str, required: true}
  verifier: {description: The verifier's account., type: str, required: true}
  image_account: {description: The account that the image made., type: str, required: true}
  keys: {description: Folder of the key files that the SSH server reads., type: path, required: true}
  sudoers: {description: Files that stay in sudo's folder., type: list, elements: path, required: true}
"""

RETURN = """
done: {description: What was changed or would be., type: list, returned: always}
"""

ORDINARY = range(1000, 60000)
"""Numbers of ordinary accounts in Debian; those below and above belong to the system."""
SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/var/spool", "/var/mail")  # noqa: S108 -- others' files in them are removed
"""Folders in which any account may leave files; the next account with its number would own them. Jobs of cron and at are there."""
SUDO = Path("/etc/sudoers.d")
LINGER = Path("/var/lib/systemd/linger")
NOLOGIN = "/usr/sbin/nologin"
GRACE_SECONDS, END_SECONDS = 5.0, 20.0
"""After how long processes that were asked to end are killed, and after how long that has failed."""


class Host:
    """Brings the host's accounts to what was asked for, and remembers what it changed."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self.done: list[str] = []
        self.kept = {*self.params["administrators"], self.params["verifier"]}

    def act(self, what: str) -> bool:
        """Remember a change; return whether it is to be made."""
        self.done.append(what)
        return not self.module.check_mode

    def run(self, *argv: str) -> None:
        """Run a command that has to succeed."""
        self.module.run_command(list(argv), check_rc=True)

    def bring(self) -> None:
        """Remove keys and rights first, then accounts, so that none that is ended gets in again meanwhile."""
        self.alone(Path(self.params["keys"]), {Path(self.params["keys"]) / name for name in self.kept})
        self.alone(SUDO, {SUDO / "README", *map(Path, self.params["sudoers"])})
        for account in pwd.getpwall():
            for name in ("authorized_keys", "authorized_keys2"):
                self.remove(Path(account.pw_dir, ".ssh", name))
        members = self.members()
        for account in pwd.getpwall():
            name = account.pw_name
            if name == self.params["image_account"]:
                self.lock(account)
            elif name in self.kept:
                continue
            elif account.pw_uid in ORDINARY:
                self.end(account)
                self.forget(account)
            elif name in members and self.act(f"{name} leaves {self.params['group']}"):
                self.run("gpasswd", "--delete", name, self.params["group"])

    def members(self) -> set[str]:
        """Return the members of the administrators' group."""
        try:
            return set(grp.getgrnam(self.params["group"]).gr_mem)
        except KeyError:
            return set()

    def alone(self, folder: Path, wanted: set[Path]) -> None:
        """Remove from `folder` what is not in `wanted`."""
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path not in wanted:
                self.remove(path)

    def remove(self, path: Path) -> None:
        """Remove a file, a link or a whole folder."""
        try:
            path.lstat()
        except OSError:
            return
        if self.act(f"{path} is removed"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def lock(self, account: pwd.struct_passwd) -> None:
        """Lock an account that stays: no password, shell, group or session."""
        name = account.pw_name
        password, expires = shadow(name)
        groups = [group.gr_name for group in grp.getgrall() if name in group.gr_mem]
        locked = password.startswith(("!", "*")) and expires == "1" and account.pw_shell == NOLOGIN and not groups
        if not locked and self.act(f"{name} is locked"):
            self.run("usermod", "--lock", "--expiredate", "1", "--shell", NOLOGIN, "--groups", "", name)
        self.end(account)

    def end(self, account: pwd.struct_passwd) -> None:
        """End an account's jobs, sessions and processes, those that it started as root within its sessions too."""
        name, uid = account.pw_name, account.pw_uid
        self.remove(LINGER / name)
        if uid in {other.pw_uid for other in pwd.getpwall() if other.pw_name in self.kept}:
            return  # a second name for an administrator's number: the processes may be the administrator's
        self.sweep(uid)
        group = Path(f"/sys/fs/cgroup/user.slice/user-{uid}.slice")
        if (processes(uid) or inside(group)) and self.act(f"processes of {name} are ended"):
            self.module.run_command(["loginctl", "terminate-user", str(uid)])
            start = time.monotonic()
            while left := processes(uid) | inside(group):
                if time.monotonic() > start + END_SECONDS:
                    self.module.fail_json(msg=f"{name}: processes cannot be ended: {', '.join(map(str, sorted(left)))}")
                for pid in left if time.monotonic() > start + GRACE_SECONDS else ():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(0.1)
            # A manager that had to be killed would be left as a failed unit; stopping it waits until systemd knows its end.
            for verb in ("stop", "reset-failed"):
                self.module.run_command(["systemctl", verb, f"user@{uid}.service"])

    def sweep(self, uid: int) -> None:
        """Remove what an account has left in folders that are everybody's, its jobs of cron and at among it."""
        for folder in SHARED:
            for here, folders, files in os.walk(folder):
                for name in [*folders, *files]:
                    path = Path(here, name)
                    with contextlib.suppress(FileNotFoundError):
                        if path.lstat().st_uid == uid:
                            self.remove(path)

    def forget(self, account: pwd.struct_passwd) -> None:
        """Remove an account and its home folder."""
        if self.act(f"{account.pw_name} is removed"):
            self.run("userdel", "--force", account.pw_name)
            home = Path(account.pw_dir)
            if home.parent == Path("/home") and home.is_dir() and not home.is_symlink():
                shutil.rmtree(home)


def shadow(name: str) -> tuple[str, str]:
    """Return an account's password as it is kept, and the day on which it expires."""
    for line in Path("/etc/shadow").read_text().splitlines():
        fields = line.split(":")
        if fields[0] == name:
            return fields[1], fields[7]
    return "!", ""


def processes(uid: int) -> set[int]:
    """Return the processes that run under an account's number."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            lines = (path / "status").read_text().splitlines()
        except OSError:
            continue  # it has ended
        state = dict(line.partition(":\t")[::2] for line in lines)
        if str(uid) in state["Uid"].split() and not state["State"].startswith("Z"):
            found.add(int(path.name))
    return found


def inside(group: Path) -> set[int]:
    """Return the processes in a control group and those below it."""
    found: set[int] = set()
    for path in group.rglob("cgroup.procs"):
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in path.read_text().split()}
    return found


def main() -> None:
    """Do what the task asks."""
    module = AnsibleModule(
        {
            "administrators": {"type": "list", "elements": "str", "required": True},
            "group": {"type": "str", "required": True},
            "verifier": {"type": "str", "required": True},
            "image_account": {"type": "str", "required": True},
            "keys": {"type": "path", "required": True, "no_log": False},
            "sudoers": {"type": "list", "elements": "path", "required": True},
        },
        supports_check_mode=True,
    )
    host = Host(module)
    host.bring()
    module.exit_json(changed=bool(host.done), done=host.done)


if __name__ == "__main__":
    main()
