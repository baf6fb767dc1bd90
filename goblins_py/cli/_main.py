"""The commands, their options and their help. What they do is elsewhere, and imported when they run."""

# ruff: noqa: PLC0415 - a command's imports are its own: `goblins --help` shall not wait for them

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn

import rich_click as click

from goblins_py.cli._arguments import ArgumentCommand, read_uri, store_unlocking
from goblins_py.cli._failure import ExitCode, Failure, one_line
from goblins_py.cli._relay_commands import relay
from goblins_py.cli._store import store
from goblins_py.errors import GoblinsError
from goblins_py.syrup import IMPLEMENTATION

__all__ = ["goblins", "main"]

_HELP = {"help_option_names": ["--help"]}
_PANELS = {"text_markup": "rich", "text_paragraph_linebreaks": "\n\n"}


@click.group(context_settings=_HELP)
@click.rich_config(help_config=_PANELS)
@click.version_option(
    None,
    "--version",
    package_name="goblins_py",
    prog_name="goblins",
    message=f"%(prog)s %(version)s ({IMPLEMENTATION} codec)",
)
@click.option("-v", "--verbose", count=True, metavar=" ", help="Say more on stderr; twice: everything.")
@click.pass_context
def goblins(context: click.Context, verbose: int) -> None:
    """Objects on different machines that call each other safely, with no server in the middle.

    New here? [cyan]goblins demo[/] shows it all in a few seconds.
    """
    context.obj = verbose


@goblins.command()
@click.rich_config(help_config=_PANELS)
@click.argument("target", metavar="FILE_OR_MODULE:Actor")
@click.option(
    "--arg", "args", multiple=True, metavar="JSON", help="An argument for the actor: JSON, else text."
)
@click.option(
    "--netlayer",
    "netlayers",
    multiple=True,
    metavar="NAME",
    help="What to be reached by. With several, one URI per line. [dim]\\[tcp-tls][/]",
)
@click.option(
    "--host", metavar="HOST", help="The name or address that others reach you by. [dim]\\[127.0.0.1][/]"
)
@click.option(
    "--port",
    "ports",
    type=click.IntRange(1, 65535),
    multiple=True,
    metavar="PORT",
    help="Of each netlayer, in their order. [dim]\\[free ones][/]",
)
@click.option(
    "--insecure", is_flag=True, help="websocket: no TLS; dial peers, and the relay, without checks."
)
@click.option("--cert", metavar="FILE", help="websocket: PEM certificate and chain. [dim]\\[self-signed][/]")
@click.option("--key", metavar="FILE", help="websocket: PEM private key of the certificate.")
@click.option("--url", metavar="URL", help="websocket: what the URI says instead: behind a reverse proxy.")
@click.option(
    "--allow-origin",
    "allow_origins",
    multiple=True,
    metavar="ORIGIN",
    help="websocket: pages from there may connect, too.",
)
@click.option(
    "--prelay",
    metavar="ACCOUNT-URI",
    help="Be reached through a relay: an account there, as @FILE, - or env:NAME. Used up by the first start.",
)
@click.option(
    "--store",
    metavar="FILE",
    help="Keep the object here: the next start has it, under the same URI. SQLite "
    "if named .sqlite, .sqlite3 or .db.",
)
@store_unlocking
@click.option(
    "--history",
    type=click.IntRange(0),
    metavar="N",
    help="Keep N past states in the store. [dim]\\[those that are there][/]",
)
@click.option("--name", metavar="NAME", help="Of the vat, in logs. [dim]\\[the actor's][/]")
@click.option("--verbose-errors", is_flag=True, help="Tell callers class and text of what an object raises.")
def serve(**options: object) -> None:
    """Make an object reachable; print its URI.

    The URI is the only line on stdout. Serves until SIGTERM or Ctrl-C, then says goodbye to its peers and
    exits with 0. Without --host only programs on this machine can reach it.

    With --store every change is on disk before anybody is told of it, so not even [cyan]kill -9[/] loses what
    somebody was told. Saved are the classes of FILE under the names [cyan]stem.Class[/], and those that it
    imports; a PersistenceEnv in it counts, too.

    [bold]Examples[/]

    [cyan]goblins serve guest_book.py:GuestBook --arg Ours --store book.syrup > uri[/]

    [cyan]goblins serve shop.till:Till --host shop.example --port 8088[/]

    [cyan]goblins serve shop.till:Till --prelay @account --store till.syrup[/]

    [cyan]goblins serve till.py:Till --netlayer websocket --host shop.example --cert all.pem --key key.pem[/]

    Files given by --cert and --key are read again when they change, and at SIGHUP.

    [bold]Exit codes[/] 0 ended by a signal, 1 it cannot serve, 2 usage: no such file or actor, bad arguments
    """
    from goblins_py.cli._serve import ServeOptions, check_netlayers, serve

    _log_to_stderr()
    if options["prelay"] is not None:
        options["prelay"] = read_uri(str(options["prelay"]))
    made = ServeOptions(**options)  # type: ignore[arg-type]
    check_netlayers(made)
    serve(made)


@goblins.command(cls=ArgumentCommand)
@click.rich_config(help_config=_PANELS)
@click.argument("uri")
@click.argument("method", required=False)
@click.argument("args", nargs=-1, metavar="[ARG]...")
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="For all of it; 0 waits for ever.",
)
@click.option("--insecure", is_flag=True, help="Dial ws:// anywhere, and wss:// with any certificate.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON whatever the answer is; see below.")
def call(
    uri: str, method: str | None, args: tuple[str, ...], *, timeout: float, insecure: bool, as_json: bool
) -> None:
    r"""Send a message to an object; print the answer.

    Give the URI as [cyan]-[/] (the first line of stdin), [cyan]@FILE[/] or [cyan]env:NAME[/]. Written out, it
    shows in the list of processes, and whoever has it can use the object.

    METHOD is sent as it is written; [cyan]-[/] sends the arguments without one. Arguments are JSON where they
    parse, else text; -1 is a number, and after [cyan]--[/] nothing is an option. The answer is printed as
    JSON where it can be, else as text.

    [bold]Examples[/]

    [cyan]goblins call @uri sign Bob "What a nice place!"[/]

    [cyan]pass show guest-book | goblins call - read[/]

    [cyan]goblins call env:CALCULATOR add -- -1 2.5[/]

    [bold]Values that JSON has no form for[/], with --json and as arguments: {"@bytes": "base64"},
    {"@symbol": "name"}, {"@set": \[...]}, {"@map": \[\[key, value], ...]}, {"@float": "nan"},
    {"@int": "0x..."} for thousands of digits, {"@tagged": \["tag", value]},
    {"@record": \[label, field, ...]}, {"@sturdyref": "ocapn:..."}, {"@peer": "ocapn:..."};
    in answers {"@reference": "..."}.

    [bold]Exit codes[/] 0 answered, 1 the object broke the promise, or the connection was lost before its
    answer, 2 usage or malformed URI, 3 cannot connect, 4 timed out
    """
    from goblins_py.cli._call import call, make_request
    from goblins_py.cli._json import to_json, to_text

    _log_to_stderr(logging.CRITICAL)
    answer = call(make_request(read_uri(uri), method, args, timeout=timeout, insecure=insecure))
    click.echo(to_json(answer) if as_json else to_text(answer))


@goblins.command()
@click.rich_config(help_config=_PANELS)
@click.option("--store", metavar="FILE", help="Keep `home` and `mycapn` here, with all that they hold.")
@store_unlocking
@click.option("--load", "sources", multiple=True, metavar="FILE_OR_MODULE", help="Have its names at hand.")
@click.option("--host", metavar="HOST", help="The name that others reach you by. [dim]\\[127.0.0.1][/]")
@click.option("--port", type=click.IntRange(1, 65535), metavar="PORT", help="[dim]\\[a free one][/]")
def repl(**options: object) -> None:
    """Python in a vat: each input is a turn.

    An input that fails is undone, with the names that it bound. An input may [cyan]await[/] promises; then
    each stretch between two awaits is a turn. Ctrl-C ends a wait (what was sent stays sent), Ctrl-D leaves.

    All names of goblins_py and goblins_py.lib are at hand, netlayers and stores, and [cyan]mycapn[/], which
    listens on loopback unless there is a --host. If stdin is no terminal, each statement of it is one input,
    and the exit code is 1 if one failed.

    With --store there is [cyan]home[/]: what it keeps is there next time, and so are the URIs that mycapn
    gave out. Kept are values, and objects of classes that --load brings (give it each time); classes typed
    here and other variables are not.

    [bold]Examples[/]

    [cyan]goblins repl[/]

    [cyan]goblins repl --store home.syrup --load guest_book.py[/]
    """
    from goblins_py.cli._repl import ReplCommand, repl

    _log_to_stderr()
    sys.exit(repl(ReplCommand(**options)))  # type: ignore[arg-type]


@goblins.command()
@click.rich_config(help_config=_PANELS)
@click.option("--prelay", is_flag=True, help="Another story: two people behind NAT, and a relay.")
def demo(*, prelay: bool) -> None:
    """Two people, two processes, one guest book: see it all at work.

    Alice serves a guest book, Bob signs it from a process of his own, Alice's process is killed and started
    again, and nothing that Bob was told was saved is missing. Takes a few seconds, on this machine only.
    """
    from goblins_py.cli._demo import demo
    from goblins_py.cli._demo_prelay import demo_prelay

    (demo_prelay if prelay else demo)()


goblins.add_command(relay)
goblins.add_command(store)


def _log_to_stderr(default: int = logging.WARNING) -> None:
    from goblins_py.cli._narrate import configure_logging

    context = click.get_current_context()
    configure_logging(context.obj if context else 0, default=default)


def main() -> NoReturn:
    """Run the command line and exit, whatever happens with one line at most."""
    _have_streams()
    try:
        try:
            goblins(prog_name="goblins")
        finally:
            sys.stdout.flush()
    except Failure as failure:
        _fail(str(failure), failure.code)
    except BrokenPipeError:
        _fail("", ExitCode.BROKEN)
    except (GoblinsError, OSError, ValueError) as error:
        _fail(one_line(error), ExitCode.BROKEN)
    raise AssertionError("click exits")  # pragma: no cover


def _have_streams() -> None:
    """What was closed before we started (`>&-`) is as if nobody listened."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", closefd=False))


def _fail(text: str, code: ExitCode) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError:  # or the interpreter would try again at its end, and say so
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if text:
        sys.stderr.write(f"goblins: {text}\n")
    sys.exit(code)
