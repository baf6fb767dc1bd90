cimport cython

from goblins_py.actors._promise cimport Crossroads, Fulfilled, Message, PromiseParts
from goblins_py.actors._reference cimport RefParts


cdef class Junction(Crossroads):
    cdef public list outbox
    cdef public object unheard
    cdef public set outsiders
    cdef public set owed
    cdef public set suspended

    @cython.locals(ref=RefParts)
    cpdef route(self, Message message)

    cpdef resolve(self, PromiseParts promise, outcome)
