"""systemd itself, as the first process of namespaces of its own, and the unit under it.

Nothing of it reaches the machine: its root is an overlay that is gone with it, its network has a
loopback and no more, its processes are in a control group of their own.
"""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest

from processes import CHECKOUT, PATIENCE, LoggedProcess, environment
from raw_client import attempts


_CLONE_NEWNET = 0x40000000  # linux/sched.h
# They would set up the machine, which isn't ours, or wait for what is not there.
_MASKED = """\
systemd-sysctl.service systemd-binfmt.service systemd-modules-load.service
systemd-remount-fs.service systemd-udevd.service systemd-udev-trigger.service
kmod-static-nodes.service systemd-random-seed.service systemd-update-utmp.service
systemd-timesyncd.service systemd-sysusers.service systemd-tmpfiles-setup.service
systemd-tmpfiles-setup-dev.service systemd-pstore.service systemd-ask-password-console.path
systemd-journald-audit.socket modprobe@.service dev-hugepages.mount dev-mqueue.mount
sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount
sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount tmp.mount"""
_PROGRAMS = ("unshare", "nsenter", "mount", "pivot_root", "systemctl", "systemd-sysusers",
             "systemd-tmpfiles")  # fmt: skip
_BOOT = """\
set -e
new=$1 tree=$2 packages=$3
mount --make-rprivate /
mount -t tmpfs tmpfs $new
mkdir $new/upper $new/work $new/root
mount -t overlay overlay -o lowerdir=/,upperdir=$new/upper,workdir=$new/work $new/root
cd $new/root
mkdir -p old srv/tree srv/packages
mount --bind $tree srv/tree
mount --bind $packages srv/packages
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do
    touch dev/$node; mount --bind /dev/$node dev/$node
done
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
rm -rf etc/fstab etc/systemd/system/*.wants
for unit in $4; do ln -sf /dev/null etc/systemd/system/$unit; done
pivot_root . old
cd /
umount -l /old
mount --make-rshared /
echo systemd is begun
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \\
    /lib/systemd/systemd --unit=basic.target
"""
_COMMANDS = {
    "twistd": "from twisted.scripts.twistd import run; run()",
    "sasgate": "from sasgate.commands import main; main(prog_name='sasgate')",
}


class World:
    """A Debian with systemd and sasgate's unit, not yet started; `root` is its file system."""

    def __init__(self, folder: Path) -> None:
        missing = [name for name in _PROGRAMS if shutil.which(name) is None]
        if missing or os.geteuid() != 0:
            pytest.skip(f"needs root and {' '.join(missing or _PROGRAMS)}")
        self._group = _control_group()
        new = folder / "world"
        new.mkdir()
        script = folder / "boot"
        script.write_text(_BOOT)
        boot = f"echo $$ > {self._group}/cgroup.procs && exec unshare -m -p -f -C -u -i -n bash "
        boot += f"{script} {new} {CHECKOUT} {sysconfig.get_path('purelib')} '{_MASKED}'"
        self._process = LoggedProcess(("bash", "-c", boot), folder, environment())
        try:
            self._process.wait_for("systemd is begun")
            self.first = self._first_process()
            for _ in attempts():
                if self.systemctl("is-active", "basic.target").stdout == "active\n":
                    break
            self.root = Path(f"/proc/{self.first}/root")
            self._install()
        except BaseException:
            self.end()
            raise

    def _first_process(self) -> int:
        ours = self._process.process.pid
        return int(Path(f"/proc/{ours}/task/{ours}/children").read_text().split()[0])

    def _install(self) -> None:
        """What the unit's own comment says."""
        units, etc = CHECKOUT / "systemd", self.root / "etc"
        for name in ("sasgate.service", "sasgate.socket"):
            shutil.copy(units / name, etc / "systemd/system")
        for kind in ("sysusers", "tmpfiles"):
            (etc / f"{kind}.d").mkdir(exist_ok=True)
            shutil.copy(units / f"{kind}.conf", etc / f"{kind}.d/sasgate.conf")
        python = _interpreter()
        self.run(str(python), "-m", "venv", "--without-pip", "/opt/sasgate", check=True)
        packages = f"/opt/sasgate/lib/{python.name}/site-packages"
        self.run("mount", "--bind", "/srv/packages", packages, check=True)
        for name, code in _COMMANDS.items():
            program = self.root / "opt/sasgate/bin" / name
            path = "PYTHONPATH=/srv/tree/src:/srv/tree"
            program.write_text(f'#!/bin/sh\n{path} exec /opt/sasgate/bin/python -c "{code}" "$@"\n')
            program.chmod(0o755)
        self.run("systemd-sysusers", "/etc/sysusers.d/sasgate.conf", check=True)
        self.run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/sasgate.conf", check=True)
        self.run("systemctl", "daemon-reload", check=True)

    def run(self, *command: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        """A command of this Debian; what it says is one text."""
        enter = ("nsenter", "-t", str(self.first), "-m", "-p", "-C", "-u", "-i", "-n", "-r", "-w")
        done = subprocess.run(
            [*enter, *command],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=4 * PATIENCE,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}\n{self.journal()}"
        return done

    def systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("systemctl", *arguments)

    def shown(self, name: str, unit: str = "sasgate.service") -> str:
        """A property of a unit, as systemd knows it."""
        return self.systemctl("show", "--value", "-p", name, unit).stdout.strip()

    def journal(self) -> str:
        """What sasgate has written."""
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", "sasgate").stdout

    @contextmanager
    def network(self) -> Iterator[None]:
        """What this thread opens or starts meanwhile is in that Debian's network."""
        libc = ctypes.CDLL(None, use_errno=True)
        own, other = Path("/proc/thread-self/ns/net"), Path(f"/proc/{self.first}/ns/net")
        with own.open() as ours, other.open() as theirs:
            assert libc.setns(theirs.fileno(), _CLONE_NEWNET) == 0
            try:
                yield
            finally:
                assert libc.setns(ours.fileno(), _CLONE_NEWNET) == 0

    def end(self) -> None:
        """End it at once, and all of its processes with it."""
        (self._group / "cgroup.kill").write_text("1")
        self._process.wait()
        for _ in attempts():
            with suppress(OSError):
                for folder in sorted(self._group.rglob("*/"), reverse=True):
                    folder.rmdir()
                self._group.rmdir()
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def _interpreter() -> Path:
    """A Python that the service may look at: ProtectHome= hides those that people have."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (Path(sys.base_prefix, "bin", name), Path("/usr/bin", name)):
        if path.exists() and path.resolve().parts[1] not in {"root", "home"}:
            return path
    pytest.skip(f"no {name} outside of /root and /home")


def _control_group() -> Path:
    mounts = Path("/proc/mounts").read_text()
    found = re.search(r"^\S+ (\S+) cgroup2 rw", mounts, re.MULTILINE)
    if found is None:
        pytest.skip("no control group (version 2) can be made here")
    group = Path(found[1]) / f"sasgate-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    return group
