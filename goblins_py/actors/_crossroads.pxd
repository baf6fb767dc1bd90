cimport cython

from goblins_py.actors._promise cimport (
    Crossroads,
    Following,
    Fresh,
    Fulfilled,
    Message,
    Pending,
    PromiseParts,
    RemotePending,
    outcome_of,
)
from goblins_py.actors._reference cimport RefParts


cdef class Junction(Crossroads):
    cdef public list outbox
    cdef public object unheard
    cdef public set outsiders
    cdef public set owed
    cdef public set suspended

    @cython.locals(ref=RefParts)
    cpdef route(self, Message message)

    @cython.locals(named=PromiseParts)
    cpdef _past(self, Message message, PromiseParts promise)

    cpdef _wait(self, Message message, PromiseParts promise, state)

    @cython.locals(answer=PromiseParts)
    cpdef _cross(self, Message message, target, connector)

    cpdef resolve(self, PromiseParts promise, outcome)
    cpdef _move(self, PromiseParts promise, list listeners)

    @cython.locals(end=PromiseParts)
    cpdef _new_state(self, PromiseParts promise, outcome)

    @cython.locals(start=Following, end=PromiseParts)
    cpdef _end_of_chain(self, PromiseParts promise)

    @cython.locals(to=PromiseParts)
    cpdef _last(self, PromiseParts promise)

    cpdef _next(self, PromiseParts promise)
    cpdef listen(self, PromiseParts promise, listener)
    cpdef _listen_there(self, PromiseParts promise, state, listener)
    cpdef _ask(self, PromiseParts promise, RemotePending state)
