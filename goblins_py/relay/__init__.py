"""A relay: through it peers that cannot be dialled are reached, by the prelay netlayer.

    mycapn = spawn_mycapn(spawn(TcpTlsNetlayer, "relay.example", 8088), limits=RELAY_LIMITS)
    admin = spawn_relay(mycapn, "tcp-tls")
    account = admin.add_account("alice")       # a promise of the sturdyref that Alice redeems

It is made of ordinary actors, persistent if their vat is. Clients need nothing of it: theirs is
`netlayers.PrelayNetlayer`.
"""

from goblins_py.relay._accounts import RELAY_LIMITS, RelayAccount, RelayAdmin, relay_env, spawn_relay
from goblins_py.relay._quota import Quota

__all__ = ["RELAY_LIMITS", "Quota", "RelayAccount", "RelayAdmin", "relay_env", "spawn_relay"]
