cdef class Home:
    cdef public object name
    cdef public object host
    cdef public object queue
    cpdef post(self, Effect item)

cdef class Effect:
    cpdef commit(self, Home vat)

cdef class Work(Effect):
    cpdef commit(self, Home vat)
    cpdef perform(self, Turn turn)
    cpdef done(self, Home vat, result)

cdef class Turn:
    cdef public Home home
    cdef public list undo
    cdef public list effects
    cdef public object frame
    cdef public object becoming
    cpdef deliver(self, message)
