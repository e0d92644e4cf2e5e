"""Restrict access to a host to administrators and the verifier; remove former administrators, lock the image's account."""

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
short_description: restricts access to administrators and the verifier
description:
  - Removes every other regular account with its processes, jobs and files; system accounts only leave the administrators' group.
  - Locks the image's account and removes its keys, groups and sessions; cloud-init would create it again if it were removed.
  - Removes keys in home folders, and all files with keys or sudo rights that the project did not write.
  - Check mode is supported.
options:
  administrators: {description: Names of the administrators., type: list, elements: str, required: true}
  group: {description: The administrators' group., type: str, required: true}
  verifier: {description: The verifier's account., type: str, required: true}
  image_account: {description: The account that the image created., type: str, required: true}
  keys: {description: Folder of the key files that the SSH server reads., type: path, required: true}
  sudoers: {description: Files that stay in sudo's folder., type: list, elements: path, required: true}
"""

RETURN = """
done: {description: Changes made; in check mode, changes that would be made., type: list, returned: always}
"""

ORDINARY = range(1000, 60000)
"""User IDs of regular accounts in Debian; lower and higher ones belong to the system."""
SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/var/spool", "/var/mail")  # noqa: S108 -- others' files in them are removed
"""Folders in which any account may leave files, jobs of cron and at among them; the next account with its ID would own them."""
SUDO = Path("/etc/sudoers.d")
LINGER = Path("/var/lib/systemd/linger")
NOLOGIN = "/usr/sbin/nologin"
GRACE_SECONDS, END_SECONDS = 5.0, 20.0
"""Seconds after which processes that do not end are killed, and after which the task fails."""


class Host:
    """Brings the host's accounts into the requested state and records the changes."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self.done: list[str] = []
        self.kept = {*self.params["administrators"], self.params["verifier"]}

    def act(self, what: str) -> bool:
        """Record a change; return whether to make it, which is false in check mode."""
        self.done.append(what)
        return not self.module.check_mode

    def run(self, *argv: str) -> None:
        """Run a command; fail the task if the command fails."""
        self.module.run_command(list(argv), check_rc=True)

    def bring(self) -> None:
        """Remove keys and rights first, then accounts, so that an ended session cannot log in again meanwhile."""
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
        """Remove everything in `folder` that is not in `wanted`."""
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
        """Lock an account: no password, shell, group or session; the account itself remains."""
        name = account.pw_name
        password, expires = shadow(name)
        groups = [group.gr_name for group in grp.getgrall() if name in group.gr_mem]
        locked = password.startswith(("!", "*")) and expires == "1" and account.pw_shell == NOLOGIN and not groups
        if not locked and self.act(f"{name} is locked"):
            self.run("usermod", "--lock", "--expiredate", "1", "--shell", NOLOGIN, "--groups", "", name)
        self.end(account)

    def end(self, account: pwd.struct_passwd) -> None:
        """End an account's jobs, sessions and processes, including those that it started as root within its sessions."""
        name, uid = account.pw_name, account.pw_uid
        self.remove(LINGER / name)
        if uid in {other.pw_uid for other in pwd.getpwall() if other.pw_name in self.kept}:
            return  # an administrator's account has the same ID: the processes may belong to the administrator
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
            # A killed user manager would remain as a failed unit; `stop` waits until systemd knows that it has ended.
            for verb in ("stop", "reset-failed"):
                self.module.run_command(["systemctl", verb, f"user@{uid}.service"])

    def sweep(self, uid: int) -> None:
        """Remove an account's files, including jobs of cron and at, from the folders that all accounts share."""
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
    """Return an account's password hash and the day on which the account expires, as /etc/shadow has them."""
    for line in Path("/etc/shadow").read_text().splitlines():
        fields = line.split(":")
        if fields[0] == name:
            return fields[1], fields[7]
    return "!", ""


def processes(uid: int) -> set[int]:
    """Return the IDs of the processes that run under a user ID; zombies are left out."""
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
    """Return the IDs of the processes in a control group and in the groups below it."""
    found: set[int] = set()
    for path in group.rglob("cgroup.procs"):
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in path.read_text().split()}
    return found


def main() -> None:
    """Run the module."""
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
