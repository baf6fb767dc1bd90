from goblins_py.captp._outbound cimport Outbound
from goblins_py.captp._references cimport SessionReferences
from goblins_py.captp._records cimport position_in

cdef class Inbound:
    cdef public list events
    cdef public object _home
    cdef public SessionReferences _references
    cdef public Outbound _outbound
    cdef public object _max_answers
    cpdef _answer_for(self, position, resolver)
    cpdef _keep(self, position, answer)
    cpdef _settle(self, question, tuple args)
    cpdef _resolve(self, question, outcome, effect=*)
