from goblins_py.actors._turn cimport Home

cdef class RefParts:
    cdef public object _behaviour
    cdef public object _connector
    cdef public Home _home
    cdef public object _slot
