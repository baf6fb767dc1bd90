cpdef crossed(result)
cpdef tuple passable_args(tuple args)
