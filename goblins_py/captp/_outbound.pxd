from goblins_py.captp._outbox cimport Outbox
from goblins_py.captp._references cimport SessionReferences
from goblins_py.captp._records cimport deliver_bytes

cimport cython

cdef class Outbound:
    cdef public set waiting
    cdef public object unanswered
    cdef public object lost
    cdef public object listening, _home
    cdef public SessionReferences _references
    cdef public Outbox _outbox
    cdef public object _limits, _refused, _chases
    cdef public dict _spent
    cdef public object _severed
    cdef public bint _has_refused
    @cython.locals(references=SessionReferences, outbox=Outbox)
    cpdef deliver(self, target, message)
    cpdef reply(self, reply, outcome)
    @cython.locals(outbox=Outbox)
    cpdef _settle(self, resolver, outcome)
