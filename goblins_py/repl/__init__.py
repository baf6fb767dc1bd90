"""The REPL: Python whose every input is a turn of the vat that you are in."""

from goblins_py.repl._errors import ShortFormatter, short_traceback
from goblins_py.repl._home import HOME_NAME, Home
from goblins_py.repl._shell import ReplOptions, run_repl

__all__ = ["HOME_NAME", "Home", "ReplOptions", "ShortFormatter", "run_repl", "short_traceback"]
