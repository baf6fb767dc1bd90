cimport cython

from goblins_py.actors._behaviour cimport perform
from goblins_py.actors._passable cimport crossed
from goblins_py.actors._promise cimport Message
from goblins_py.actors._reference cimport RefParts
from goblins_py.actors._turn cimport Turn


cdef class VatTurn(Turn):
    @cython.locals(letter=Message, ref=RefParts)
    cpdef deliver(self, message)
