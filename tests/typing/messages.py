"""What type checkers know of messages: the typed twins, interfaces, fields. Never run, only checked."""

from collections.abc import Mapping
from typing import Any, Protocol, assert_type

from goblins_py import (
    Map,
    Promise,
    Ref,
    Resolver,
    actor,
    all_of,
    any_of,
    call,
    live,
    make_promise,
    on,
    race,
    ref_to,
    send,
    send_only,
    spawn,
    timeout,
    upgrade,
    value,
)
from goblins_py.actors import Sender, untag


@actor
class Greeter:
    """An actor with a private field, a default and a live field."""

    name: str
    _secret: bytes = b""
    greeted: int = 0
    _cache: dict[str, int] | None = live()

    def greet(self, guest: str, *, loud: bool = False) -> str:
        """A plain message."""
        assert_type(ref_to(self), Ref[Greeter])
        return f"Hello {guest}"

    async def greet_later(self, guest: Promise[str]) -> str:
        """One that waits."""
        assert_type(await guest, str)
        return await guest

    def greet_by_other(self, other: "Ref[Greeter]", guest: str) -> Promise[str]:
        """One that returns a promise."""
        return send(other, Greeter.greet, guest)


class Greets(Protocol):
    """An interface, for objects whose class one does not have."""

    def greet(self, guest: str) -> str:
        """A message of the interface."""
        ...


@value
class Point:
    """A value."""

    x: int
    y: int = 0


def constructor_arguments_are_the_fields() -> None:
    """Private ones keep their name; live ones are none."""
    assert_type(spawn(Greeter, "Alice"), Ref[Greeter])
    spawn(Greeter, "Alice", b"secret", 5)
    spawn(Greeter, name="Alice", _secret=b"secret", greeted=5)
    spawn(Greeter, 5)  # type: ignore[call-overload]
    spawn(Greeter, "Alice", secret=b"secret")  # type: ignore[call-arg]
    spawn(Greeter, "Alice", _cache={})  # type: ignore[call-arg]
    Point(1, y=2)
    Point("x")  # type: ignore[arg-type]


def a_value_cannot_be_assigned_to(point: Point) -> None:
    """It is frozen to checkers, too."""
    point.x = 5  # type: ignore[misc]


def send_has_a_typed_twin(ref: Ref[Greeter], promise: Promise[Ref[Greeter]], guest: Promise[str]) -> None:
    """The same for references and promises; async methods and promises are seen through."""
    assert_type(send(ref, Greeter.greet, "Bob"), Promise[str])
    assert_type(send(promise, Greeter.greet, "Bob", loud=True), Promise[str])
    assert_type(send(ref, Greeter.greet_later, guest), Promise[str])
    assert_type(send(ref, Greeter.greet_by_other, ref, "Bob"), Promise[str])
    assert_type(send(ref), Sender)
    send(ref).greet("Bob")
    send_only(promise).greet("Bob")
    send(ref, Greeter.greet, 5)  # type: ignore[call-overload]
    send(ref, Greeter.greet)  # type: ignore[call-overload]


def call_has_a_typed_twin(ref: Ref[Greeter], promise: Promise[Ref[Greeter]], guest: Promise[str]) -> None:
    """For near references; an async method gives a promise."""
    assert_type(call(ref, Greeter.greet, "Bob"), str)
    assert_type(call(ref, Greeter.greet_later, guest), Promise[str])
    call(ref, Greeter.greet, 5)  # type: ignore[call-overload]
    call(promise, Greeter.greet, "Bob")  # type: ignore[call-overload]


def a_protocol_is_an_interface(ref: Ref[Greets], greeter: Ref[Greeter]) -> None:
    """Whoever has it knows the messages, and an actor that has them fits."""
    assert_type(send(ref, Greets.greet, "Bob"), Promise[str])
    assert_type(call(ref, Greets.greet, "Bob"), str)
    fits: Ref[Greets] = greeter
    send(fits, Greets.greet, "Bob")


def promises_know_what_they_become(number: Promise[int], text: Promise[str]) -> None:
    """As far as the joiners can say."""
    assert_type(make_promise(), tuple[Promise[Any], Resolver[Any]])
    assert_type(timeout(number, 5), Promise[int])
    assert_type(race(number, number), Promise[int])
    assert_type(any_of(number, number), Promise[int])
    assert_type(all_of(number, text), Promise[tuple[Any, ...]])
    assert_type(number.wait(), int)
    on(number, lambda value: value.bit_length())
    on(number, broken=lambda error: error.__notes__)


def parts_of_promises_can_be_anything(promise: Promise[Map[str, int]]) -> None:
    """A peer says what they are, not a type; names and indices only."""
    assert_type(promise["a"], Promise[Any])
    assert_type(promise["a"][0], Promise[Any])
    assert_type(untag(promise, "t"), Promise[Any])
    promise[b"a"]  # type: ignore[index]
    promise[0:1]  # type: ignore[index]


async def awaiting_gives_the_value(number: Promise[int]) -> None:
    """In methods and in tasks."""
    assert_type(await number, int)


def maps_know_their_items(ages: Map[str, int]) -> None:
    """Through every change."""
    assert_type(ages["Bob"], int)
    assert_type(ages.set("Alice", 5), Map[str, int])


@value(version=1)
class Price:
    """A value class with a version is a dataclass as well."""

    amount: int

    @upgrade(from_version=0)
    @staticmethod
    def _from_text(state: Map[str, Any]) -> Mapping[str, Any]:
        return {"amount": int(state["text"])}


@actor(version=1)
class Shop:
    """So is an actor class, and its upgrades can be called by name."""

    price: Price

    @upgrade(from_version=0)
    @staticmethod
    def _with_price(state: Map[str, Any]) -> Map[str, Any]:
        return state.set("price", Price(0))


def upgrades_are_functions_from_state_to_state(state: Map[str, Any], price: Price) -> None:
    """Static ones; anything else is refused."""
    assert_type(Shop._with_price(state), Map[str, Any])
    assert_type(price.amount, int)
    spawn(Shop, price)
    spawn(Shop, 5)  # type: ignore[call-overload]
    price.amount = 5  # type: ignore[misc]
    upgrade(from_version=0)(len)  # type: ignore[type-var]
