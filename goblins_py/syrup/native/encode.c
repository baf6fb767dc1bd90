/* Values to bytes, as ../_encode.py does it. */

#include "native.h"

#ifdef GOBLINS_FUZZ /* what happens to the large happens to the small */
enum { SMALL = 16, SMALL_KEYS = 8, FEW = 2 };
#else
enum { SMALL = 512, SMALL_KEYS = 128, FEW = 8 };
#endif
enum { SAFE_DEPTH = 200, NUMBER = 24 };

/* Where bytes are written: first into `small`, and once that is full into a bytes object that grows and becomes
   the result, so that what is long is copied once. */
typedef struct {
    char *data;
    Py_ssize_t size, room;
    PyObject *object;
} Out;

typedef struct {
    State *state;
    PyObject *special; /* or NULL */
    int is_deep;       /* deeper than any C stack surely allows: then each level is counted */
} Encoder;

static int write_value(Encoder *encoder, Out *out, PyObject *value, long long depth);

static int
out_grow(Out *out, Py_ssize_t size)
{
    if (size > PY_SSIZE_T_MAX / 2 - out->size) {
        PyErr_NoMemory();
        return -1;
    }
    Py_ssize_t room = out->size + size + NUMBER;
    if (room < out->room + out->room / 2)
        room = out->room + out->room / 2;
    if (out->object == NULL) {
        if ((out->object = PyBytes_FromStringAndSize(NULL, room)) == NULL)
            return -1;
        memcpy(PyBytes_AS_STRING(out->object), out->data, (size_t)out->size);
    } else if (_PyBytes_Resize(&out->object, room) < 0) {
        return -1;
    }
    out->data = PyBytes_AS_STRING(out->object);
    out->room = room;
    return 0;
}

static inline int
out_add(Out *out, const char *data, Py_ssize_t size)
{
    if (out->room - out->size < size && out_grow(out, size) < 0)
        return -1;
    memcpy(out->data + out->size, data, (size_t)size);
    out->size += size;
    return 0;
}

static inline int
out_byte(Out *out, char byte)
{
    if (out->room == out->size && out_grow(out, 1) < 0)
        return -1;
    out->data[out->size++] = byte;
    return 0;
}

int
put_number(char *end, unsigned long long number)
{
    char *start = end;
    do {
        *--start = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    return (int)(end - start);
}

/* A number and what it stands before; then a body of that length, if there is one. */
static int
out_number(Out *out, unsigned long long number, char mark, const char *body)
{
    char text[NUMBER];
    int digits = put_number(text + NUMBER - 1, number);
    text[NUMBER - 1] = mark;
    Py_ssize_t size = digits + 1 + (body ? (Py_ssize_t)number : 0);
    if (out->room - out->size < size && out_grow(out, size) < 0)
        return -1;
    memcpy(out->data + out->size, text + NUMBER - 1 - digits, (size_t)digits + 1);
    if (body)
        memcpy(out->data + out->size + digits + 1, body, (size_t)number);
    out->size += size;
    return 0;
}

static int
too_deep(Encoder *encoder)
{
    PyErr_SetString(encoder->state->encode_error, "the value is nested too deep, or contains itself");
    return -1;
}

static int
write_integer(Encoder *encoder, Out *out, PyObject *value)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (!overflow && number >= 0)
        return out_number(out, (unsigned long long)number, '+', NULL);
    if (!overflow)
        return out_number(out, 0 - (unsigned long long)number, '-', NULL);
    PyObject *data = PyObject_CallOneArg(encoder->state->integer, value);
    if (data == NULL)
        return -1;
    int result = out_add(out, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data));
    Py_DECREF(data);
    return result;
}

static int
write_text(Encoder *encoder, Out *out, PyObject *value)
{
    if (PyUnicode_IS_COMPACT_ASCII(value))
        return out_number(out, (unsigned long long)PyUnicode_GET_LENGTH(value), '"', PyUnicode_DATA(value));
    /* Not PyUnicode_AsUTF8: that would keep the bytes as long as the text lives. */
    PyObject *data = PyUnicode_AsUTF8String(value);
    if (data == NULL) {
        if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
            PyErr_Clear();
            PyErr_SetString(encoder->state->encode_error, "a str with a lone surrogate has no UTF-8 form");
        }
        return -1;
    }
    int result = out_number(out, (unsigned long long)PyBytes_GET_SIZE(data), '"', PyBytes_AS_STRING(data));
    Py_DECREF(data);
    return result;
}

static int
write_float(Out *out, double number)
{
    char data[9] = {'D', '\x7f', '\xf8'};
    if (number == number && PyFloat_Pack8(number, data + 1, 0) < 0)
        return -1;
    return out_add(out, data, 9);
}

/* --- containers ----------------------------------------------------------------- */

static int
enter(Encoder *encoder, long long depth)
{
    if (depth < 0)
        return too_deep(encoder);
    return encoder->is_deep && Py_EnterRecursiveCall(" while a value is encoded") ? -1 : 0;
}

static inline void
leave(Encoder *encoder)
{
    if (encoder->is_deep)
        Py_LeaveRecursiveCall();
}

/* One value of a container that is not a sequence, where `depth` is that inside it. */
static int
write_inner(Encoder *encoder, Out *out, PyObject *value, long long depth)
{
    if (enter(encoder, depth) < 0)
        return -1;
    int result = write_value(encoder, out, value, depth);
    leave(encoder);
    return result;
}

static int
write_sequence(Encoder *encoder, Out *out, PyObject *value, long long depth)
{
    if (out_byte(out, '[') < 0 || enter(encoder, depth) < 0)
        return -1;
    int result = 0;
    if (PyTuple_CheckExact(value)) {
        for (Py_ssize_t index = 0; !result && index < PyTuple_GET_SIZE(value); index++)
            result = write_value(encoder, out, PyTuple_GET_ITEM(value, index), depth);
    } else {
        for (Py_ssize_t index = 0; !result && index < PyList_GET_SIZE(value); index++) {
            PyObject *item = Py_NewRef(PyList_GET_ITEM(value, index)); /* `special` may change the list */
            result = write_value(encoder, out, item, depth);
            Py_DECREF(item);
        }
    }
    leave(encoder);
    return result ? result : out_byte(out, ']');
}

/* The fields of a record as a tuple: nobody has looked at what they are. */
static PyObject *
fields_of(PyObject *fields)
{
    if (PyTuple_CheckExact(fields))
        return Py_NewRef(fields);
    PyObject *result = PySequence_Tuple(fields);
    if (result == NULL && PyErr_ExceptionMatches(PyExc_TypeError) && Py_TYPE(fields)->tp_iter == NULL
        && !PySequence_Check(fields)) {
        PyErr_Clear();
        PyErr_Format(PyExc_TypeError, "Value after * must be an iterable, not %.200s", Py_TYPE(fields)->tp_name);
    }
    return result;
}

static int
write_record(Encoder *encoder, Out *out, PyObject *value, long long depth)
{
    State *state = encoder->state;
    PyObject *label = SLOT(value, state->record_label), *fields = SLOT(value, state->record_fields);
    if (label == NULL || fields == NULL) {
        PyErr_SetString(PyExc_AttributeError, label ? "fields" : "label");
        return -1;
    }
    Py_INCREF(label);
    int result = -1;
    if ((fields = fields_of(fields)) == NULL)
        goto done;
    if (out_byte(out, '<') < 0 || enter(encoder, depth) < 0)
        goto done;
    result = write_value(encoder, out, label, depth);
    for (Py_ssize_t index = 0; !result && index < PyTuple_GET_SIZE(fields); index++)
        result = write_value(encoder, out, PyTuple_GET_ITEM(fields, index), depth);
    leave(encoder);
    if (!result)
        result = out_byte(out, '>');
done:
    Py_DECREF(label);
    Py_XDECREF(fields);
    return result;
}

/* --- dictionaries and sets: what is in them is ordered by its bytes ------------------ */

typedef struct {
    const char *data; /* of the key; while keys are being written, NULL */
    Py_ssize_t start, size;
    PyObject *key, *item;
} Entry;

typedef struct {
    Entry *entries, few[FEW];
    Py_ssize_t count;
    Out keys;
    char small[SMALL_KEYS];
} Ordered;

static int
ordered_init(Ordered *ordered, Py_ssize_t count)
{
    ordered->count = 0;
    ordered->keys = (Out){ordered->small, 0, SMALL_KEYS, NULL};
    ordered->entries = count <= FEW ? ordered->few : PyMem_New(Entry, (size_t)count);
    if (ordered->entries == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static void
ordered_free(Ordered *ordered)
{
    for (Py_ssize_t index = 0; index < ordered->count; index++) {
        Py_XDECREF(ordered->entries[index].key);
        Py_XDECREF(ordered->entries[index].item);
    }
    Py_XDECREF(ordered->keys.object);
    if (ordered->entries != ordered->few)
        PyMem_Free(ordered->entries);
}

static int
compare(const void *left, const void *right)
{
    const Entry *a = left, *b = right;
    int order = memcmp(a->data, b->data, (size_t)(a->size < b->size ? a->size : b->size));
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

static int
write_key(Encoder *encoder, Ordered *ordered, Entry *entry, long long depth)
{
    entry->start = ordered->keys.size;
    if (write_inner(encoder, &ordered->keys, entry->key, depth) < 0)
        return -1;
    entry->size = ordered->keys.size - entry->start;
    return 0;
}

static int
sort(Encoder *encoder, Ordered *ordered, const char *what)
{
    Entry *entries = ordered->entries;
    Py_ssize_t count = ordered->count;
    for (Py_ssize_t index = 0; index < count; index++)
        entries[index].data = ordered->keys.data + entries[index].start;
    if (count > FEW)
        qsort(entries, (size_t)count, sizeof(Entry), compare);
    else
        for (Py_ssize_t index = 1; index < count; index++) {
            Entry entry = entries[index];
            Py_ssize_t place = index;
            for (; place && compare(&entries[place - 1], &entry) > 0; place--)
                entries[place] = entries[place - 1];
            entries[place] = entry;
        }
    for (Py_ssize_t index = 1; index < count; index++)
        if (compare(&entries[index - 1], &entries[index]) == 0) {
            PyErr_Format(encoder->state->encode_error, "two %s have the same Syrup form", what);
            return -1;
        }
    return 0;
}

static int
collect_dict(Ordered *ordered, PyObject *dict)
{
    PyObject *key, *item;
    Py_ssize_t position = 0;
    while (PyDict_Next(dict, &position, &key, &item))
        ordered->entries[ordered->count++] = (Entry){NULL, 0, 0, Py_NewRef(key), Py_NewRef(item)};
    return 0;
}

static int
collect_map(State *state, Ordered *ordered, PyObject *hamt, Py_ssize_t most)
{
    PyObject *view = PyObject_CallMethodNoArgs(hamt, state->str_items);
    PyObject *iterator = view ? PyObject_GetIter(view) : NULL, *pair;
    Py_XDECREF(view);
    if (iterator == NULL)
        return -1;
    while (ordered->count < most && (pair = PyIter_Next(iterator)) != NULL) {
        PyObject *key = PyTuple_GET_ITEM(pair, 0), *item = PyTuple_GET_ITEM(pair, 1);
        ordered->entries[ordered->count++] = (Entry){NULL, 0, 0, Py_NewRef(key), Py_NewRef(item)};
        Py_DECREF(pair);
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? -1 : 0;
}

static int
write_ordered_items(Encoder *encoder, Out *out, Ordered *ordered, long long depth)
{
    if (out_byte(out, '{') < 0)
        return -1;
    for (Py_ssize_t index = 0; index < ordered->count; index++) {
        Entry *entry = &ordered->entries[index];
        if (out_add(out, entry->data, entry->size) < 0 || write_inner(encoder, out, entry->item, depth) < 0)
            return -1;
    }
    return out_byte(out, '}');
}

/* A dict or a Map; `depth` is that inside it. */
static int
write_map(Encoder *encoder, Out *out, PyObject *value, long long depth)
{
    State *state = encoder->state;
    int is_dict = PyDict_CheckExact(value), result = -1;
    PyObject *items = is_dict ? value : SLOT(value, state->map_items);
    if (items == NULL || (!is_dict && !Py_IS_TYPE(items, state->Hamt))) {
        PyErr_SetString(PyExc_AttributeError, "_items");
        return -1;
    }
    Py_INCREF(items);
    Py_ssize_t count = PyObject_Size(items);
    Ordered ordered;
    if (count < 0 || ordered_init(&ordered, count) < 0) {
        Py_DECREF(items);
        return -1;
    }
    if ((is_dict ? collect_dict(&ordered, items) : collect_map(state, &ordered, items, count)) < 0)
        goto done;
    for (Py_ssize_t index = 0; index < ordered.count; index++) {
        if (write_key(encoder, &ordered, &ordered.entries[index], depth) < 0)
            goto done;
        if (is_dict && PyDict_GET_SIZE(items) != count) {
            PyErr_SetString(PyExc_RuntimeError, "dictionary changed size during iteration");
            goto done;
        }
    }
    if (sort(encoder, &ordered, "keys of a dictionary") < 0)
        goto done;
    result = write_ordered_items(encoder, out, &ordered, depth);
done:
    ordered_free(&ordered);
    Py_DECREF(items);
    return result;
}

static int
write_set(Encoder *encoder, Out *out, PyObject *value, long long depth)
{
    Ordered ordered;
    Py_ssize_t most = PySet_GET_SIZE(value);
    PyObject *iterator = PyObject_GetIter(value), *member;
    if (iterator == NULL)
        return -1;
    if (ordered_init(&ordered, most) < 0) {
        Py_DECREF(iterator);
        return -1;
    }
    int result = -1;
    while (ordered.count < most && (member = PyIter_Next(iterator)) != NULL) {
        Entry *entry = &ordered.entries[ordered.count++];
        *entry = (Entry){NULL, 0, 0, member, NULL};
        if (write_key(encoder, &ordered, entry, depth) < 0)
            goto done;
    }
    if (!PyErr_Occurred() && (member = PyIter_Next(iterator)) != NULL)
        Py_DECREF(member); /* it only had to say whether the set was changed */
    if (PyErr_Occurred() || sort(encoder, &ordered, "members of a set") < 0 || out_byte(out, '#') < 0)
        goto done;
    for (Py_ssize_t index = 0; index < ordered.count; index++)
        if (out_add(out, ordered.entries[index].data, ordered.entries[index].size) < 0)
            goto done;
    result = out_byte(out, '$');
done:
    ordered_free(&ordered);
    Py_DECREF(iterator);
    return result;
}

/* --- values -------------------------------------------------------------------- */

static int
write_replaced(Encoder *encoder, Out *out, PyObject *value, long long depth)
{
    PyObject *replaced =
        encoder->special ? PyObject_CallOneArg(encoder->special, value) : Py_NewRef(Py_NotImplemented);
    if (replaced == NULL)
        return -1;
    int result = -1;
    if (replaced != Py_NotImplemented) {
        result = write_inner(encoder, out, replaced, depth);
    } else {
        PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__name__");
        if (name != NULL)
            PyErr_Format(encoder->state->encode_error, "%S has no Syrup form", name);
        Py_XDECREF(name);
    }
    Py_DECREF(replaced);
    return result;
}

static int
write_rare(Encoder *encoder, Out *out, PyObject *value, long long depth)
{
    PyTypeObject *kind = Py_TYPE(value);
    if (kind == &PyFloat_Type)
        return write_float(out, PyFloat_AS_DOUBLE(value));
    if (kind == encoder->state->Map || kind == &PyDict_Type)
        return write_map(encoder, out, value, depth - 1);
    if (kind == &PyFrozenSet_Type || kind == &PySet_Type)
        return write_set(encoder, out, value, depth - 1);
    return write_replaced(encoder, out, value, depth - 1);
}

/* Write one value where `depth` more containers may be opened. */
static int
write_value(Encoder *encoder, Out *out, PyObject *value, long long depth)
{
    State *state = encoder->state;
    PyTypeObject *kind = Py_TYPE(value);
    if (kind == state->Symbol) {
        PyObject *syrup = SLOT(value, state->symbol_syrup);
        if (syrup == NULL || !PyBytes_CheckExact(syrup)) {
            PyErr_SetString(PyExc_AttributeError, "syrup");
            return -1;
        }
        return out_add(out, PyBytes_AS_STRING(syrup), PyBytes_GET_SIZE(syrup));
    }
    if (kind == &PyLong_Type)
        return write_integer(encoder, out, value);
    if (kind == &PyUnicode_Type)
        return write_text(encoder, out, value);
    if (kind == state->Record)
        return write_record(encoder, out, value, depth - 1);
    if (kind == &PyTuple_Type || kind == &PyList_Type)
        return write_sequence(encoder, out, value, depth - 1);
    if (kind == &PyBool_Type)
        return out_byte(out, value == Py_True ? 't' : 'f');
    if (kind == &PyBytes_Type)
        return out_number(out, (unsigned long long)PyBytes_GET_SIZE(value), ':', PyBytes_AS_STRING(value));
    return write_rare(encoder, out, value, depth);
}

/* --- encode(value, special=None, *, depth=128) ------------------------------------- */

enum { VALUE, SPECIAL, DEPTH, PARAMETERS, DEFAULT_DEPTH = 128 };

PyObject *
goblins_encode(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    PyObject *found[PARAMETERS] = {NULL};
    static const char *const known[] = {"value", "special", "depth", NULL};
    if (read_arguments("encode", known, 2, args, nargs, names, found) < 0)
        return NULL;
    long long depth = DEFAULT_DEPTH;
    if (found[DEPTH] != NULL) {
        int overflow;
        depth = PyLong_AsLongLongAndOverflow(found[DEPTH], &overflow);
        if (depth == -1 && !overflow && PyErr_Occurred())
            return NULL;
        if (overflow)
            depth = overflow > 0 ? INT64_MAX : -1;
    }
    PyObject *special = found[SPECIAL] == Py_None ? NULL : found[SPECIAL];
    Encoder encoder = {PyModule_GetState(module), special, depth > SAFE_DEPTH};
    char small[SMALL];
    Out out = {small, 0, SMALL, NULL};
    if (depth < 0 ? too_deep(&encoder) : write_value(&encoder, &out, found[VALUE], depth)) {
        Py_XDECREF(out.object);
        return NULL;
    }
    if (out.object == NULL)
        return PyBytes_FromStringAndSize(small, out.size);
    _PyBytes_Resize(&out.object, out.size); /* sets it to NULL if it fails */
    return out.object;
}
