cimport cython

from goblins_py.actors._passable cimport passable_args
from goblins_py.actors._promise cimport Message, PromiseParts
from goblins_py.actors._turn cimport Turn


cdef class Sender:
    cdef public object _post
    cdef public object _target
