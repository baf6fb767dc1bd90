"""The page of examples/browser in a real browser, over wss:// with a certificate that it trusts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trustme

from goblins_py import actor, live, open_vat, spawn, spawn_mycapn
from netlayers import WebsocketNetlayer
from websocket_kit import write_pair

pytestmark = pytest.mark.browser

SERVER = Path(__file__).parent.parent / "examples/browser/server.py"


class Server:
    """examples/browser/server.py as a process that can be killed and started again, same store and all."""

    def __init__(self, folder):
        self._folder = folder
        authority = trustme.CA()
        self.authority = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.authority)
        cert, key = write_pair(folder, "localhost", authority=authority)
        self._command = [sys.executable, SERVER, "--host", "localhost", "--cert", cert, "--key", key]
        self._process = None

    def start(self):
        """Its link, which is the same every time."""
        self._process = subprocess.Popen(self._command, cwd=self._folder, stdout=subprocess.PIPE, text=True)
        link = self._process.stdout.readline().strip()
        assert link.startswith("https://localhost:")
        self.link = link
        return link

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def open_page(chromium, server, tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("home"), authority=server.authority) as open_page:
        yield open_page


def enter(page, link, name):
    page.go(link)
    page.type("#name", f"{name}\n")
    page.until_text("#status", "Connected")


@actor
class Listener:
    """Bob's ears."""

    heard: list = live()

    def said(self, line):
        self.heard.append((line["guest"], line["words"]))

    def signed(self, entry):
        self.heard.append((entry["guest"], entry["words"]))

    def present(self, names):
        pass


async def visit_as_bob(link, authority, monkeypatch, act):
    """A Python peer in the same room: `act(vat, seat, heard)` while it is there."""
    monkeypatch.setenv("SSL_CERT_FILE", authority)
    with trio.fail_after(30):
        async with open_vat() as vat:
            mycapn = await vat.run(lambda: spawn_mycapn(spawn(WebsocketNetlayer, listen=False)))
            room = await vat.send(mycapn).enliven(link.split("#", 1)[1])
            listener = await vat.run(spawn, Listener)
            heard = listener._behaviour.heard = []
            entered = await vat.send(room).enter("Bob", listener)
            await act(vat, entered["seat"], heard)


async def in_thread(function, *args):
    return await trio.to_thread.run_sync(function, *args)


async def test_two_pages_and_a_python_peer_chat(open_page, server, monkeypatch, tmp_path):
    """All hear all; then a reload, and a new start of the server: the pages come back by themselves."""
    link = server.link
    alice, carol = await in_thread(open_page), await in_thread(open_page, 420, 900)
    await in_thread(enter, alice, link, "Alice")
    await in_thread(enter, carol, link, "Carol <b>")

    async def chat(vat, seat, heard):
        await in_thread(alice.until_text, "#present", "Here: Alice, Carol <b>, Bob")
        await vat.send(seat).say("Hello from Python")
        await in_thread(carol.until_text, "#lines", "Bob Hello from Python")
        await in_thread(carol.type, "#line", "And hello from a <i>page</i>\n")
        await in_thread(alice.until_text, "#lines", "Carol <b> And hello from a <i>page</i>")
        await in_thread(alice.type, "#entry", "What a nice place!")
        await in_thread(alice.click, "#sign button")
        await in_thread(carol.until_text, "#entries", "What a nice place!")
        while len(heard) < 3:
            await trio.sleep(0.02)
        assert heard == [
            ("Bob", "Hello from Python"),
            ("Carol <b>", "And hello from a <i>page</i>"),
            ("Alice", "What a nice place!"),
        ]

    await visit_as_bob(link, server.authority, monkeypatch, chat)
    await in_thread(alice.until_text, "#present", "Here: Alice, Carol <b>")
    await in_thread(survive, server, link, (alice, carol), tmp_path)
    assert [] == [each for each in carol.complaints() if "WebSocket connection" not in each]


def survive(server, link, pages, folder):
    """A reload and a restart: shown, and over by themselves; nothing that was said is lost."""
    alice, carol = pages
    carol.reload()
    carol.until_text("#status", "Connected")
    carol.until_text("#lines", "And hello from")
    server.kill()
    for page in pages:
        page.until_text("#status", "Connection lost")
        assert page.run("return document.querySelector('#say button').disabled")
    alice.screenshot(folder / "lost.png")
    assert server.start() == link
    for page in pages:
        page.until_text("#status", "Connected")
        page.until_text("#entries", "What a nice place!")
    alice.type("#line", "We are back\n")
    carol.until_text("#lines", "Alice We are back")
    carol.resize(390, 844)
    for name, page in (("wide", alice), ("phone", carol)):
        page.screenshot(folder / f"{name}.png")
        assert page.run("return document.documentElement.scrollWidth <= innerWidth"), (
            f"{name} scrolls sideways"
        )


def test_link_that_is_cut_off_is_explained(open_page, server):
    """Not everybody copies all of it."""
    page = open_page()
    page.go(server.link[:-40].split("?")[0])
    page.until_text("#problem", "whole link")


PRELUDE = """
    const done = arguments[arguments.length - 1];
    const { Session, far, sym, encode, decode, Record, Tagged } = await import("/ocapn.js");
    const { session, object } = await Session.enliven(location.hash.slice(1));
    const show = (value) => JSON.stringify(value, (key, each) => {
      if (typeof each === "bigint") return `${each}n`;
      if (each instanceof Uint8Array) return `bytes ${[...each]}`;
      if (each === undefined) return "undefined";
      return each;
    });
"""


@pytest.fixture(scope="module")
def ask(open_page, playground):
    """A function that runs JavaScript with `object`, our playground, and returns what it does."""
    page = open_page()
    page.go(playground)

    def ask(script):
        body = f"return (async () => {{ {PRELUDE} try {{ {script} }} finally {{ session.close(); }} }})()"
        return page.run(body)

    return ask


@pytest.fixture(scope="module")
def playground(server, tmp_path_factory):
    """A link to `Playground`, served beside the page by another process on loopback."""
    program = Path(__file__).with_name("serve_playground.py")
    command = [sys.executable, program, str(SERVER.parent / "site")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process.stdout.readline().strip()
    process.stdin.close()
    assert process.wait(30) == 0
    process.stdout.close()


def test_values_pass_both_ways(ask):
    """Each as what it is; integers of any size."""
    found = ask("""
        const big = 2n ** 80n;
        const sent = [1, -1, 0, 1.5, -0.0, big, true, false, "häß😀", new Uint8Array([1, 2]), [1, ["x"]],
                      { b: 1, aa: 2 }, null, undefined];
        const got = await object.call("echo", ...sent);
        return show(got);
    """)
    assert json.loads(found) == [
        *(1, -1, 0, 1.5, 0, "1208925819614629174706176n", True, False, "häß😀", "bytes 1,2", [1, ["x"]]),
        *({"b": 1, "aa": 2}, None, "undefined"),
    ]


def test_messages_are_pipelined(ask):
    """Sent to an answer before it is there."""
    assert 42 == ask("return await object.call('makeAdder', 40).send([2]);")


def test_callbacks_are_called_and_kept(ask):
    """Functions and objects, at once and later; their answers come back, promises among them."""
    assert "Hello yourself" == ask("return await object.call('greet', (greeting) => `${greeting} yourself`);")
    script = """
        const heard = [];
        const deepThought = async (what) => { heard.push(what); return heard.length; };
        await object.call("hold", far({ deepThought }));
        const answers = await Promise.all([1, 2].map(() => object.call("poke", sym("deep-thought"), "so")));
        return [heard, answers];
    """
    assert [["so", "so"], [1, 2]] == ask(script)


def test_only_own_methods_can_be_called(ask):
    """What they share among themselves by `this`, and what they inherit, is nobody's business."""
    script = """
        class Counter { inherited() { return "no"; } }
        const counter = Object.assign(new Counter(), { count: 0, up() { return ++this.count; } });
        await object.call("hold", far(counter));
        const got = [];
        for (const name of ["up", "up", "count", "inherited", "constructor", "to-string"]) {
          got.push(await object.call("poke", sym(name)).catch(() => "refused"));
        }
        return got;
    """
    assert [1, 2, "refused", "refused", "refused", "refused"] == ask(script)


def test_promises_pass_as_arguments(ask):
    """Ours become theirs."""
    script = (
        "return await object.call('later', new Promise((done) => setTimeout(() => done('at last'), 50)));"
    )
    assert "at last" == ask(script)


def test_failures_are_told(ask):
    """Of theirs to us, with a reason that was sent on purpose; of ours to them."""
    assert "no" == ask("try { await object.call('refuse', 'no'); } catch (error) { return error.message; }")
    script = """
        const clumsy = () => { throw new Error("ouch"); };
        try { await object.call("greet", clumsy); } catch (error) { return error.message; }
    """
    assert "ouch" in ask(script)
    assert ask("try { await object.call('noSuchThing'); } catch (error) { return error.message; }")


def test_references_come_home_as_themselves(ask):
    """Ours, and theirs."""
    script = """
        const ours = far({}), [back] = await object.call("echo", ours);
        const adder = await object.call("makeAdder", 1), [again] = await object.call("echo", adder);
        return [back === ours, again === adder, await object.call("isSame", adder, again)];
    """
    assert [True, True, True] == ask(script)


def test_peers_can_select_own_members_of_plain_data_only(ask):
    """`constructor` would lead from any value to whatever JavaScript can do."""
    script = """
        const got = [];
        await object.call("hold", far({
          give() { return { name: "x", list: ["y"] }; },
        }));
        for (const path of [["name"], ["list", 0], ["constructor"], ["list", "constructor"], ["__proto__"]]) {
          try { got.push(await object.call("select", path)); } catch (error) { got.push("refused"); }
        }
        return got;
    """
    assert ["x", "y", "refused", "refused", "refused"] == ask(script)


def test_waiting_answers_break_when_the_session_ends(ask):
    """At once; and nothing more can be asked."""
    script = """
        const waiting = object.call("never");
        session.close("enough");
        const why = [], note = (error) => why.push(error.message);
        for (const answer of [waiting, object.call("count")]) await answer.catch(note);
        return [...why, await session.closed];
    """
    assert ["enough", "the connection was lost", "enough"] == ask(script)


def test_somebody_else_at_the_address_is_found_out(ask):
    """By the signature under the designator's key."""
    script = """
        const wrong = "a".repeat(51) + "a";
        const uri = location.hash.slice(1).replace(/[a-z2-7]{52}/, wrong);
        try { await Session.enliven(uri); } catch (error) { return error.message; }
    """
    assert "somebody else" in ask(script)
