from goblins_py.captp._tables cimport Exports, Imports

cdef class SessionReferences:
    cdef public object _home, _connector, _max_size, _short
    cdef public Exports exports
    cdef public Imports imports
    cdef public dict answers
    cdef public object bootstrap, sources, dialect, receiver, on_give, _special
    cdef public list _written, _given
    cpdef write(self, value)
    cpdef target(self, to)
