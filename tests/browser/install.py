"""Installs what tests of pages need of Debian: Chromium, its driver, and the tool that makes it trust a CA.

    python3 tests/browser/install.py             # as root on Debian; does nothing if it is all there

Only the standard library is used, since this runs before any environment exists.
"""

import os
import shutil
import subprocess
import sys

PACKAGES = {"chromium": "chromium", "chromedriver": "chromium-driver", "certutil": "libnss3-tools"}


def main() -> None:
    if all(map(shutil.which, PACKAGES)):
        print("Chromium and its driver are here")
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit("installing Chromium needs root on Debian")
    subprocess.run(["apt-get", "-qq", "update"], check=True)
    command = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *PACKAGES.values()]
    subprocess.run(command, check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


if __name__ == "__main__":
    main()
