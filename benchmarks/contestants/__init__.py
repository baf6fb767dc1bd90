"""Who takes part in the rows that need two processes, and in which of them.

A module here has two entries, each the main function of a process: `serve(pipe, folder)` sends its address,
and ends when it receives something; `call(pipe, address, folder)` does what is ordered (see `_network.obey`).
`folder` has certificates: ca.pem, and server.pem with the key.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

ASYNCIO, TRIO, PYOPENSSL = "asyncio streams TLS echo", "raw trio TLS echo", "pyOpenSSL under trio, echo"
ALL = ("round trips", "pipelined", "one-way", "connect", "bulk")


@attrs.frozen
class Entry:
    """What is known of a contestant before its library is imported."""

    name: str
    module: str
    role: str
    workloads: tuple[str, ...]
    package: str = ""
    note: str = "TLS"
    notes: Mapping[str, str] = attrs.field(factory=dict)

    def note_on(self, workload: str) -> str:
        """What is to be known of it, in that row."""
        return ", ".join(filter(None, (self.note, self.notes.get(workload))))


ENTRIES = (
    Entry("goblins_py", "goblins", "ours", ALL),
    Entry(ASYNCIO, "asyncio_echo", "floor", ALL),
    Entry(TRIO, "trio_echo", "floor", ALL),
    Entry(PYOPENSSL, "pyopenssl_echo", "floor", ALL),
    Entry("rpyc", "rpyc_peer", "peer", ("round trips", "pipelined", "connect", "bulk"), "rpyc"),
    Entry("Pyro5", "pyro5_peer", "peer", ("round trips", "pipelined", "one-way", "connect"), "Pyro5",
          notes={"pipelined": "batches of 1,000", "one-way": "a thread each"}),
    Entry("foolscap", "foolscap_peer", "peer", ALL, "foolscap"),
    Entry("pycapnp", "pycapnp_peer", "peer", ("round trips", "pipelined", "connect", "bulk"), "capnp"),
    Entry("gRPC", "grpc_peer", "peer", ALL, "grpc", notes={"one-way": "a stream"}),
)  # fmt: skip
