"""Makes a folder with Guile Goblins 0.18 in it, which Debian has in testing and not in stable: a real peer.

    python3 tests/guile/make_chroot.py           # as root on Debian; does nothing if it is already there
    python3 tests/guile/make_chroot.py --where   # prints the folder

Only the standard library is used, since this runs before any environment exists. The mirror and apt's network
settings are those of the machine, asked from apt itself.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

SUITE = "forky"
PACKAGES = (
    "ca-certificates",
    "guile-3.0",
    "guile-fibers",
    "guile-gcrypt",
    "guile-gnutls",
    "guile-goblins",
    "guile-websocket",
)
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def chroot() -> Path:
    """Where the folder is or will be; another recipe gives another folder, so a stale one is never used."""
    if chosen := os.environ.get("GOBLINS_GUILE_ROOT"):
        return Path(chosen)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    recipe = hashlib.sha256(" ".join((SUITE, *PACKAGES)).encode()).hexdigest()[:8]
    return cache / "goblins_py" / f"guile-{recipe}"


def is_complete(root: Path) -> bool:
    """A folder gets its name only when it is whole, so one file stands for all."""
    return (root / "usr/share/guile").is_dir()


def mirror() -> str:
    """The archive from which this machine gets Debian itself."""
    code = output("sh", "-c", '. /etc/os-release; echo "$VERSION_CODENAME"').strip()
    form = "$(RELEASE) $(COMPONENT) $(REPO_URI)"
    listed = output("apt-get", "indextargets", "--format", form, "Identifier: Packages")
    for line in listed.splitlines():
        release, component, uri = line.split(" ", 2)
        if (release, component) == (code, "main"):
            return uri
    sys.exit(f"apt names no archive for {code} main on this machine")


def network_options() -> str:
    """What apt was told here on proxies, time-outs and certificates, for the apt that fills the folder."""
    lines = output("apt-config", "dump", "Acquire").splitlines()
    kept = [line for line in lines if "IndexTargets" not in line and '""' not in line]
    return "\n".join([*kept, 'Acquire::Check-Valid-Until "false";', ""])


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def build(root: Path) -> None:
    """Fill a folder beside the final one and rename it, so that no half-made one is ever found."""
    subprocess.run(["apt-get", "-qq", "update"], check=True)
    if not shutil.which("mmdebstrap"):
        subprocess.run(
            ["apt-get", "-qq", "install", "-y", "--no-install-recommends", "mmdebstrap"], check=True
        )
    unfinished = root.with_name(f"{root.name}.unfinished")
    options = root.with_name(f"{root.name}.apt.conf")
    shutil.rmtree(unfinished, ignore_errors=True)
    options.write_text(network_options(), encoding="utf-8")
    source = f"deb [signed-by={KEYRING}] {mirror()} {SUITE} main"
    what = f"--include={','.join(PACKAGES)}"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=apt", f"--aptopt={options}", what, SUITE, unfinished, source],
        check=True,
    )
    for folder in ("scripts", "share"):
        (unfinished / folder).mkdir(exist_ok=True)
    unfinished.rename(root)


def main() -> None:
    root = chroot()
    if "--where" in sys.argv[1:]:
        print(root)
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{root}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_complete(root):
            print(f"Guile Goblins is in {root}")
            return
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            sys.exit("making the Guile Goblins peer needs root on Debian")
        build(root)
    print(f"made {root}")


if __name__ == "__main__":
    main()
