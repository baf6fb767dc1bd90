cdef class Outbox:
    cdef public object on_output
    cdef public Py_ssize_t queued
    cdef public Py_ssize_t soft
    cdef public Py_ssize_t hard
    cdef public list _parts
    cdef public bint _has_long
    cpdef put(self, data)
