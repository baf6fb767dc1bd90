cdef class Question:
    cdef public object entry
    cdef public bint answered
    cdef public object count

cdef class Flush(Question):
    pass

cdef class _Export:
    cdef public object thing
    cdef public object count

cdef class Exports:
    cdef public dict _entries
    cdef public dict _positions
    cdef public object _next
    cdef public object _limit
    cpdef ask(self, entry)
    cpdef _number(self, entry)
    cpdef get(self, position)

cdef class Imports:
    cdef public object collected
    cdef public object _note
    cdef public dict _imports
    cdef public dict _by_id
    cdef public object _next_question
    cpdef ask(self, answer, kind=*)
    cpdef find(self, thing)
    cpdef _hold(self, thing, kind, position)
