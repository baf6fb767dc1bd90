"""Accounts: what an operator makes and removes, and what a client redeems."""

from __future__ import annotations

from typing import Any, Final, cast

from goblins_py.actors import (
    PersistenceEnv,
    Promise,
    Ref,
    actor,
    all_of,
    live,
    require_turn,
    spawn,
)
from goblins_py.captp import SessionLimits
from goblins_py.errors import Refusal
from goblins_py.relay._desk import Desk, PrelayController, PrelayEndpoint
from goblins_py.relay._quota import Quota
from goblins_py.relay._yard import Yard
from goblins_py.runtime import mycapn_env
from goblins_py.syrup import Map

__all__ = ["RELAY_LIMITS", "RelayAccount", "RelayAdmin", "relay_env", "spawn_relay"]

RELAY_LIMITS: Final = SessionLimits(message_size=9 * 2**20)
"""For a relay's base sessions: room for a session's message within one. More is queued only to those that
clients use (see `Yard`); whoever has no business here gets no more than at any other peer."""

_LONGEST_NAME: Final = 200


@actor
class RelayAccount:
    """What an account URI leads to. Called without a method name it gives out the account's pair.

    Until the client has registered a listener with the controller it gives the same pair again, so that no
    crash between the two can lose an account; from then on nothing.
    """

    _desk: Ref[Desk]
    _endpoint: Ref[PrelayEndpoint]
    _controller: Ref[PrelayController]
    _mycapn: Ref[Any]
    _transport: str

    def __call__(self) -> Promise[Any]:
        if self._desk.is_removed():
            raise Refusal("this account was removed")
        if self._desk.is_used():
            raise Refusal("Already setup")
        register = self._mycapn.register
        return all_of(register(self._endpoint, self._transport), register(self._controller, self._transport))


@actor
class RelayAdmin:
    """The operator's object: accounts by name.

    Attributes:
        mycapn: over the netlayer by which the relay is reached.
        transport: that netlayer's name.
        quota: of an account that is made without one of its own.
        accounts: by name: the desk, and the objects that were given out.
    """

    _mycapn: Ref[Any]
    _transport: str
    _quota: Map[str, int] = Map()
    _accounts: Map[str, tuple[Ref[Any], ...]] = Map()
    _yard: Yard | None = live()

    def on_start(self, restored: bool) -> None:  # noqa: FBT001 - the vat calls it so
        """Begin to work: all accounts with what they share."""
        io = cast(Any, require_turn().home).host.io
        self._yard = Yard(io)
        for desk, *_ in self._accounts.values():
            desk.open(self._yard)

    def add_account(self, name: str = "", quota: Map[str, int] | None = None) -> Promise[Any]:
        """Make an account.

        Args:
            name: one that no other account has.
            quota: see `Quota`; what it does not name is as the relay has it.

        Returns:
            A promise of the account's sturdyref, for whoever shall have the account.
        """
        checked = self._quota.update(_checked(quota)) if quota else self._quota
        _check_name(name)
        if name in self._accounts:
            raise Refusal("there is an account of this name already")
        desk = spawn(Desk, name, checked, self._mycapn)
        endpoint, controller = spawn(PrelayEndpoint, desk), spawn(PrelayController, desk)
        account = spawn(RelayAccount, desk, endpoint, controller, self._mycapn, self._transport)
        self._accounts = self._accounts.set(name, (desk, account, endpoint, controller))
        desk.open(self._yard)
        registered: Promise[Any] = self._mycapn.register(account, self._transport)
        return registered

    def get_accounts(self) -> tuple[str, ...]:
        """The names of all accounts, sorted."""
        return tuple(sorted(self._accounts))

    def remove_account(self, name: str = "") -> None:
        """Remove an account: its sessions end, its sturdyrefs lead nowhere from now on."""
        desk, *given = self._account(name)
        self._accounts = self._accounts.delete(name)
        desk.close("the account was removed")
        for ref in given:
            self._mycapn.unregister(ref)

    def statistics(self) -> tuple[Map[str, object], ...]:
        """What each account uses, by name."""
        return tuple(self._accounts[name][0].statistics() for name in self.get_accounts())

    def _account(self, name: object) -> tuple[Ref[Any], ...]:
        found = self._accounts.get(name) if isinstance(name, str) else None
        if found is None:
            raise Refusal("there is no account of this name")
        return found


def _checked(quota: object) -> Map[str, int]:
    if not isinstance(quota, Map):
        raise Refusal("a quota is a map of numbers")
    try:
        Quota.of(quota)
    except (TypeError, ValueError) as error:
        raise Refusal(f"no quota: {error.args[0] if error.args else ''}"[:200]) from None
    return quota


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
        raise Refusal(f"an account's name is a printable text of 1 to {_LONGEST_NAME} characters")


relay_env = PersistenceEnv(
    named={
        "relay-admin": RelayAdmin,
        "relay-account": RelayAccount,
        "relay-desk": Desk,
        "relay-endpoint": PrelayEndpoint,
        "relay-controller": PrelayController,
    },
    extends=[mycapn_env],
)
"""What a persistent vat needs to save and restore a relay, beside what its netlayer needs."""


def spawn_relay(mycapn: Ref[Any], transport: str, *, quota: Quota | None = None) -> Ref[RelayAdmin]:
    """Spawn a relay in the current vat; what is returned makes accounts.

    Args:
        mycapn: over the netlayer by which clients and other relays reach it; made with `RELAY_LIMITS`.
        transport: that netlayer's name.
        quota: of each account that is made without one of its own.
    """
    return spawn(RelayAdmin, mycapn, transport, (quota or Quota()).numbers())
