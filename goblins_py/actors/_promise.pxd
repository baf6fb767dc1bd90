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

cdef class Fulfilled:
    cdef public object value

cdef class PromiseParts:
    cdef public Home _home
    cdef public object _state

cdef class Crossroads(Home):
    cpdef route(self, Message message)
    cpdef resolve(self, PromiseParts promise, outcome)
