"""Network namespaces: a public relay, and two people each behind a router that masquerades.

        relay 203.0.113.1
         |             |
    router a       router b          each masquerades, and lets nothing in
         |             |
    alice            bob             both are 192.168.7.2

Routers are namespaces too. Nothing of it touches the machine's own network; all of it is gone at the end.
"""

import os
import shutil
import subprocess
from contextlib import ExitStack, contextmanager

RELAY = "203.0.113.1"
_SIDES = {"a": ("alice", "203.0.113.9", "203.0.113.10"), "b": ("bob", "203.0.113.13", "203.0.113.14")}
_MASQUERADE = """
table ip nat {
    chain out {
        type nat hook postrouting priority 100
        oifname "public" masquerade
    }
}
table ip filter {
    chain through {
        type filter hook forward priority 0; policy drop
        iifname "home" accept
        ct state established,related accept
    }
}
"""


def why_not():
    """What is missing for namespaces with NAT on this machine, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool, package in (("ip", "iproute2"), ("nft", "nftables"), ("sysctl", "procps")):
        if shutil.which(tool) is None:
            return f"there is no {tool} (Debian's {package})"
    probe = subprocess.run(
        ["unshare", "--net", "nft", "-f", "-"], input=_MASQUERADE, text=True, capture_output=True, check=False
    )
    return None if probe.returncode == 0 else f"no NAT in namespaces here: {probe.stderr.strip()[:200]}"


class Namespaces:
    """Names of namespaces of ours, and how to run something in one."""

    def __init__(self):
        self._prefix = f"goblins-{os.getpid()}-"

    def enter(self, place):
        """What goes before a command that shall run there."""
        return ("ip", "netns", "exec", self._prefix + place)

    def do(self, place, *command, stdin=None):
        """Run a command there; it must succeed."""
        subprocess.run(
            [*self.enter(place), *command], input=stdin, text=True, capture_output=True, check=True
        )

    def make(self, place, stack):
        """A namespace with its loopback up, for as long as the stack lasts."""
        name = self._prefix + place
        subprocess.run(["ip", "netns", "add", name], check=True)
        stack.callback(subprocess.run, ["ip", "netns", "del", name], check=False)
        self.do(place, "ip", "link", "set", "lo", "up")

    def connect(self, one, other):
        """A cable: each end is (place, interface, address with prefix length)."""
        (place, interface, _), (there, peer, _) = one, other
        name = self._prefix + there
        self.do(place, "ip", "link", "add", interface, "type", "veth", "peer", "name", peer, "netns", name)
        for where, what, address in (one, other):
            self.do(where, "ip", "address", "add", address, "dev", what)
            self.do(where, "ip", "link", "set", what, "up")


@contextmanager
def nat():
    """Set all of it up: a `Namespaces` with relay, alice and bob."""
    with ExitStack() as stack:
        spaces = Namespaces()
        spaces.make("relay", stack)
        spaces.do("relay", "ip", "address", "add", f"{RELAY}/32", "dev", "lo")
        for side, (person, near, far) in _SIDES.items():
            router = f"router-{side}"
            spaces.make(router, stack)
            spaces.make(person, stack)
            spaces.connect(("relay", f"to-{side}", f"{near}/30"), (router, "public", f"{far}/30"))
            spaces.connect((router, "home", "192.168.7.1/24"), (person, "lan", "192.168.7.2/24"))
            spaces.do(person, "ip", "route", "add", "default", "via", "192.168.7.1")
            spaces.do(router, "ip", "route", "add", "default", "via", near)
            spaces.do(router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
            spaces.do(router, "nft", "-f", "-", stdin=_MASQUERADE)
        yield spaces
