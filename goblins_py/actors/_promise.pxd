from goblins_py.actors._turn cimport Effect, Home, Turn, Work


cdef class Answering(Work):
    cdef public PromiseParts answer
    cpdef done(self, Home vat, result)


cdef class Message(Answering):
    cdef public tuple args
    cdef public object kwargs
    cdef public bint near_only
    cdef public object target
    cpdef commit(self, Home vat)
    cpdef perform(self, Turn turn)


cdef class Fresh:
    pass


cdef class Pending:
    cdef public list listeners
    cdef public list messages


cdef class RemotePending:
    cdef public object asked
    cdef public object connector
    cdef public list listeners
    cdef public object third
    cdef public object used


cdef class Following:
    cdef public PromiseParts to


cdef class Fulfilled:
    cdef public object value


cdef class PromiseParts:
    cdef public Home _home
    cdef public object _state


cdef class Crossroads(Home):
    cpdef route(self, Message message)
    cpdef resolve(self, PromiseParts promise, outcome)
    cpdef listen(self, PromiseParts promise, listener)


cdef class Resolve(Effect):
    cdef public object outcome
    cdef public PromiseParts promise
    cpdef commit(self, Home vat)


cdef class Listen(Effect):
    cdef public object listener
    cdef public PromiseParts promise
    cpdef commit(self, Home vat)


cpdef outcome_of(result)
