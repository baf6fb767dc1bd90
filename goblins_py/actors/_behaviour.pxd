cpdef perform(behaviour, tuple args, kwargs)
