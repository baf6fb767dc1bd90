cpdef tuple position_in(descriptor, str one, str other)
cpdef bytes deliver_bytes(bytes to, bytes args, answer_pos, resolver)
