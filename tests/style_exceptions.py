"""What may break a rule of tests/test_style.py, each with the measurement or reason that justifies it.

An entry that is no longer needed fails the tests, so this file only ever says what is true.
"""

from collections.abc import Mapping

# "path::Class.function": "N lines because ... (measured: ...)"
LONG_FUNCTIONS: Mapping[str, str] = {
    "goblins_py/syrup/_decode.py::Decoder._scan": "124 lines because a call per token would cost some 60 ns "
    "of the 370 ns that a token takes (measured: 8.4 us for a deliver record of 21 tokens)",
}

# "path": "N lines because ..."
LONG_MODULES: Mapping[str, str] = {
    "goblins_py/actors/_promise.py": "449 lines because promises, their 8 states, what waits on them and who "
    "settles them name each other, and modules may not import each other in a circle",
}

# "path::Class.function": "why they must be positional"
MANY_POSITIONALS: Mapping[str, str] = {}

# "path::name": "why". The design allows two ambient things, the current turn and the default background host.
AMBIENT: Mapping[str, str] = {
    "goblins_py/actors/_turn.py::_current": "the current turn, per thread, set only while a turn runs",
}
