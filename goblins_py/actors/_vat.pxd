cimport cython

from goblins_py.actors._crossroads cimport Junction
from goblins_py.actors._promise cimport Message
from goblins_py.actors._turn cimport Effect, Work
from goblins_py.actors._vat_turn cimport VatTurn


cdef class Vat(Junction):
    cdef public object verbose
    cdef public object keeper
    cdef public object _phase
    cdef public object _inbox
    cdef public VatTurn _turn

    @cython.locals(max_turns=cython.long)
    cpdef run(self, max_turns)

    cpdef post(self, Effect item)
    cpdef _begin_churn(self, Effect item)

    @cython.locals(turn=VatTurn, effects=list)
    cpdef _run_turn(self, Work work)
