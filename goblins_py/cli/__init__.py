"""The command line: `goblins serve`, `call`, `repl` and `demo`.

Results go to stdout, what is for people to stderr. Each command's work is in a module of its own, which
is imported when the command runs, so that `goblins --help` is quick.
"""

from goblins_py.cli._main import main

__all__ = ["main"]
