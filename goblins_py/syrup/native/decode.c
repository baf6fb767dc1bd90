/* Bytes to values, as ../_decode.py does it: what is said there about work, memory and offsets holds here.

   The items of all open containers are on one stack of values, and each container knows where its own begin. */

#include "native.h"
#include <stddef.h>
#include <structmember.h>

enum { LIST = '[', DICT = '{', SET = '#', RECORD = '<' };
enum { FEW_KEYS = 64, DIGITS_AT_ONCE = 600 };
#ifdef GOBLINS_FUZZ /* what happens to the large happens to the small */
enum { KEPT_ROOM = 16, LONG_BODY = 5 };
#else
enum { KEPT_ROOM = 1024, LONG_BODY = 4096 };
#endif
enum { ROLE_NONE, ROLE_DIGIT, ROLE_OPENER, ROLE_TRUE, ROLE_FALSE, ROLE_BLANK };
enum { FAILED = -1, NOT_YET = 0, FOUND = 1 }; /* what reading a token came to */

/* More than any size; far enough from the end of the numbers that sums do not wrap. */
static const long long HUGE_SIZE = (1LL << 62) + (1LL << 61);

static const unsigned char ROLES[256] = {
    ['1'] = ROLE_DIGIT,  ['2'] = ROLE_DIGIT,  ['3'] = ROLE_DIGIT,  ['4'] = ROLE_DIGIT,  ['5'] = ROLE_DIGIT,
    ['6'] = ROLE_DIGIT,  ['7'] = ROLE_DIGIT,  ['8'] = ROLE_DIGIT,  ['9'] = ROLE_DIGIT,  ['<'] = ROLE_OPENER,
    ['['] = ROLE_OPENER, ['{'] = ROLE_OPENER, ['#'] = ROLE_OPENER, ['('] = ROLE_OPENER, ['l'] = ROLE_OPENER,
    ['d'] = ROLE_OPENER, ['t'] = ROLE_TRUE,   ['f'] = ROLE_FALSE,  [' '] = ROLE_BLANK,  ['\t'] = ROLE_BLANK,
    ['\n'] = ROLE_BLANK,
};
static const unsigned char KINDS[256] = {
    ['<'] = RECORD, ['['] = LIST, ['{'] = DICT, ['#'] = SET, ['('] = LIST, ['l'] = LIST, ['d'] = DICT,
};
static const unsigned char CLOSERS[256] = {
    ['<'] = '>', ['['] = ']', ['{'] = '}', ['#'] = '$', ['('] = ')', ['l'] = 'e', ['d'] = 'e',
};

typedef struct {
    Py_ssize_t first; /* of its items on the stack of values */
    int kind, closer;
} Container;

typedef struct {
    PyObject_HEAD
    State *state;
    PyObject *weak_references;
    PyObject *limits, *special, *error; /* special, error: or NULL */
    PyObject *scan_instead;             /* what a test put in the place of the scanner, or NULL */
    Bounds bounds;
    /* What was fed: `buffer`, of which `position` is consumed, then `tail`. `base` is the offset of `buffer` in
       the whole input. Below `need` unread bytes there is no use in looking. */
    PyObject *buffer;
    Py_ssize_t position;
    Bytes tail;
    long long base, need, start, count;
    /* A long byte string of which not all is there is put together where it will stay: `body`, of which `filled`
       bytes are there and `whole` will be. `head` bytes that announce it are all that `buffer` then holds. */
    PyObject *body;
    Py_ssize_t filled, whole, head;
    long long behind; /* so many bytes does what `offset` tells lag behind `position` */
    long long looked; /* how many bytes the scanner went over, again and again or not: for tests */
    Bytes figures;    /* the digits of a number cut in two */
    Bytes raw;        /* canonical only: the bytes of the value that have left `buffer` */
    PyObject **values;
    Py_ssize_t n_values, values_room;
    Container *open;
    Py_ssize_t n_open, open_room;
    SymbolTable symbols;
    char is_canonical, is_busy, is_brief; /* is_brief: for one value only, so symbols need not be remembered */
} Decoder;

int
bytes_add(Bytes *bytes, const char *data, Py_ssize_t size)
{
    if (bytes->room - bytes->size < size) {
        if (size > PY_SSIZE_T_MAX / 2 - bytes->size) {
            PyErr_NoMemory();
            return -1;
        }
        Py_ssize_t room = bytes->size + size + (bytes->size + size) / 2 + 16;
        char *moved = PyMem_Realloc(bytes->data, (size_t)room);
        if (moved == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        bytes->data = moved;
        bytes->room = room;
    }
    if (size)
        memcpy(bytes->data + bytes->size, data, (size_t)size);
    bytes->size += size;
    return 0;
}

void
bytes_free(Bytes *bytes)
{
    PyMem_Free(bytes->data);
    *bytes = (Bytes){NULL, 0, 0};
}

/* All that is before `position` in the buffer is consumed. */
static inline void
consume_to(Decoder *self, Py_ssize_t position)
{
    self->position = position;
    self->behind = 0;
}

/* --- errors --------------------------------------------------------------------- */

static int
raise_at(Decoder *self, PyObject *text, long long offset)
{
    PyObject *arguments = text ? Py_BuildValue("(OL)", text, offset) : NULL;
    if (arguments != NULL)
        PyErr_SetObject(self->state->decode_error, arguments); /* made when it is caught, or by normalization */
    Py_XDECREF(arguments);
    Py_XDECREF(text);
    return FAILED;
}

/* `position` is one in the buffer, or before it if it is negative. */
static int
fault(Decoder *self, const char *text, long long position)
{
    return raise_at(self, PyUnicode_FromString(text), self->base + position);
}

static int
fault_byte(Decoder *self, const char *text, int code, long long position)
{
    return raise_at(self, PyUnicode_FromFormat(text, code), self->base + position);
}

/* `text` shows the limit of that name. */
static int
over_limit(Decoder *self, const char *name, const char *text, long long offset)
{
    PyObject *limit = PyObject_GetAttrString(self->limits, name);
    PyObject *full = limit ? PyUnicode_FromFormat(text, limit) : NULL;
    Py_XDECREF(limit);
    return raise_at(self, full, offset);
}

static int
over_items(Decoder *self, long long position)
{
    return over_limit(self, "items", "more than %S items in a value: items limit", self->base + position);
}

static int
check_size(Decoder *self, long long end)
{
    if (end - self->start <= self->bounds.value_size)
        return 0;
    return over_limit(self, "value_size", "a value of more than %S bytes: value_size limit", self->start);
}

/* Look again when `count` bytes from `position` are there, if they ever may be. */
static int
await(Decoder *self, long long count)
{
    if (check_size(self, self->base + self->position + count) < 0)
        return FAILED;
    self->need = count;
    return NOT_YET;
}

/* As `await`, for a byte string of `size` bytes behind the `head` that announces it. */
static int
await_body(Decoder *self, Py_ssize_t head, long long size)
{
    if (await(self, head + size) < 0)
        return FAILED;
    if (size >= LONG_BODY && size <= PY_SSIZE_T_MAX / 2 && !self->is_canonical) {
        self->head = head;
        self->whole = (Py_ssize_t)size;
    }
    return NOT_YET;
}

/* The UnicodeDecodeError that is set becomes ours; any other stays. */
static int
blame_utf8(Decoder *self, const char *text, long long position)
{
    if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
        return FAILED;
    PyErr_Clear();
    return fault(self, text, position);
}

/* --- the stack ------------------------------------------------------------------- */

/* Takes over the reference. */
static inline int
push(Decoder *self, PyObject *value)
{
    if (self->n_values == self->values_room) {
        Py_ssize_t room = self->values_room ? self->values_room * 2 : 16;
        PyObject **moved = PyMem_Realloc(self->values, (size_t)room * sizeof *moved);
        if (moved == NULL) {
            Py_DECREF(value);
            PyErr_NoMemory();
            return FAILED;
        }
        self->values = moved;
        self->values_room = room;
    }
    self->values[self->n_values++] = value;
    return 0;
}

static int
open_container(Decoder *self, unsigned char code, long long position)
{
    if (self->n_open >= self->bounds.depth)
        return over_limit(self, "depth", "more than %S containers open at once: depth limit", self->base + position);
    if (self->n_open == self->open_room) {
        Py_ssize_t room = self->open_room ? self->open_room * 2 : 8;
        Container *moved = PyMem_Realloc(self->open, (size_t)room * sizeof *moved);
        if (moved == NULL) {
            PyErr_NoMemory();
            return FAILED;
        }
        self->open = moved;
        self->open_room = room;
    }
    self->open[self->n_open++] = (Container){self->n_values, KINDS[code], CLOSERS[code]};
    return 0;
}

static void
clear_stack(Decoder *self)
{
    while (self->n_values) {
        PyObject *value = self->values[--self->n_values];
        Py_DECREF(value);
    }
    self->n_open = 0;
    PyMem_Free(self->values);
    PyMem_Free(self->open);
    self->values = NULL;
    self->open = NULL;
    self->values_room = self->open_room = 0;
}

/* --- what the garbage collector need not look at --------------------------------------

   A value that holds nothing but values is in no circle, so the collector is spared it, as it spares itself tuples of
   numbers. For many values that stay this counts: a store of 10^5 objects is read three times as fast. */

/* Whether an immutable value holds nothing that the collector looks at. */
static inline int
is_plain(const State *state, PyObject *value)
{
    PyTypeObject *kind = Py_TYPE(value);
    if (!PyType_IS_GC(kind))
        return 1;
    if (kind != &PyTuple_Type && kind != state->Symbol && kind != state->Record && kind != state->Map)
        return 0;
    return !PyObject_GC_IsTracked(value);
}

/* Spare the collector the nodes of an `immutables.Map` of plain keys and items: they are all that it leads to. */
static int
spare_node(PyObject *node, void *none)
{
    if (PyObject_IS_GC(node) && !PyType_Check(node) && PyObject_GC_IsTracked(node)) {
        PyObject_GC_UnTrack(node);
        return Py_TYPE(node)->tp_traverse(node, spare_node, none);
    }
    return 0;
}

/* A tuple of the values from `first` on, which leave the stack. */
static PyObject *
pop_tuple(Decoder *self, Py_ssize_t first)
{
    Py_ssize_t size = self->n_values - first;
    PyObject *tuple = PyTuple_New(size);
    if (tuple == NULL || !size)
        return tuple;
    int plain = 1;
    for (Py_ssize_t index = 0; index < size; index++) {
        PyObject *value = self->values[first + index];
        PyTuple_SET_ITEM(tuple, index, value);
        plain = plain && is_plain(self->state, value);
    }
    self->n_values = first;
    if (plain)
        PyObject_GC_UnTrack(tuple);
    return tuple;
}

/* --- containers ------------------------------------------------------------------- */

static PyObject *
pop_record(Decoder *self, Py_ssize_t first)
{
    State *state = self->state;
    PyObject *fields = pop_tuple(self, first + 1), *record;
    if (fields == NULL)
        return NULL;
    PyObject *label = self->values[--self->n_values];
    if (self->special != NULL) {
        PyObject *arguments[] = {label, fields};
        record = PyObject_Vectorcall(self->special, arguments, 2, NULL);
    } else if ((record = state->Record->tp_alloc(state->Record, 0)) != NULL) {
        SLOT(record, state->record_label) = Py_NewRef(label);
        SLOT(record, state->record_fields) = Py_NewRef(fields);
        if (is_plain(state, label) && (is_plain(state, fields) || !PyTuple_GET_SIZE(fields)))
            PyObject_GC_UnTrack(record);
    }
    Py_DECREF(label);
    Py_DECREF(fields);
    return record;
}

/* What the Python helper makes of the values from `first` on. */
static PyObject *
pop_by_helper(Decoder *self, PyObject *helper, Py_ssize_t first, long long offset)
{
    PyObject *items = pop_tuple(self, first), *list = items ? PySequence_List(items) : NULL;
    Py_XDECREF(items);
    PyObject *result = list ? PyObject_CallFunction(helper, "OL", list, offset) : NULL;
    Py_XDECREF(list);
    return result;
}

static PyObject *
blame_hash(Decoder *self, const char *text, long long offset)
{
    if (PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        raise_at(self, PyUnicode_FromString(text), offset);
    }
    return NULL;
}

static PyObject *
pop_set(Decoder *self, Py_ssize_t first, long long offset)
{
    Py_ssize_t count = self->n_values - first;
    if (count > FEW_KEYS)
        return pop_by_helper(self, self->state->make_set, first, offset);
    PyObject *items = pop_tuple(self, first);
    PyObject *set = items ? PyFrozenSet_New(items) : NULL;
    if (set == NULL && items != NULL)
        blame_hash(self, "a member that has no hash", offset);
    Py_XDECREF(items);
    if (set != NULL && PySet_GET_SIZE(set) != count) {
        Py_CLEAR(set);
        raise_at(self, PyUnicode_FromString("a double member, or two that Python holds equal (1, true, 1.0)"), offset);
    }
    return set;
}

/* A Map of what is in a dict. */
static PyObject *
wrap_map(State *state, PyObject *dict, int plain)
{
    PyObject *hamt = PyObject_CallOneArg((PyObject *)state->Hamt, dict);
    if (hamt == NULL)
        return NULL;
    PyObject *map = state->Map->tp_alloc(state->Map, 0);
    if (map == NULL) {
        Py_DECREF(hamt);
        return NULL;
    }
    SLOT(map, state->map_items) = hamt;
    if (plain) {
        spare_node(hamt, NULL);
        PyObject_GC_UnTrack(map);
    }
    return map;
}

static PyObject *
pop_map(Decoder *self, Py_ssize_t first, long long offset)
{
    Py_ssize_t count = self->n_values - first;
    if (!count)
        return Py_NewRef(self->state->empty_map);
    if (count % 2 || count > 2 * FEW_KEYS)
        return pop_by_helper(self, self->state->make_map, first, offset);
    PyObject *items = pop_tuple(self, first), *dict = items ? PyDict_New() : NULL, *map = NULL;
    int plain = items && is_plain(self->state, items);
    for (Py_ssize_t index = 0; dict != NULL && index < count; index += 2)
        if (PyDict_SetItem(dict, PyTuple_GET_ITEM(items, index), PyTuple_GET_ITEM(items, index + 1)) < 0) {
            Py_CLEAR(dict);
            blame_hash(self, "a key that has no hash", offset);
        }
    Py_XDECREF(items);
    if (dict != NULL && PyDict_GET_SIZE(dict) * 2 != count)
        raise_at(self, PyUnicode_FromString("a double key, or two that Python holds equal (1, true, 1.0)"), offset);
    else if (dict != NULL)
        map = wrap_map(self->state, dict, plain);
    Py_XDECREF(dict);
    return map;
}

/* Close the innermost container; `position` is where its closing byte is. */
static PyObject *
close_container(Decoder *self, long long position)
{
    Container container = self->open[self->n_open - 1];
    Py_ssize_t size = self->n_values - container.first;
    self->count += size;
    if (self->count > self->bounds.items) {
        over_items(self, position);
        return NULL;
    }
    self->n_open--;
    switch (container.kind) {
    case LIST:
        return pop_tuple(self, container.first);
    case DICT:
        return pop_map(self, container.first, self->base + position);
    case SET:
        return pop_set(self, container.first, self->base + position);
    default:
        if (size)
            return pop_record(self, container.first);
        fault(self, "a record without a label", position);
        return NULL;
    }
}

/* --- rare tokens ------------------------------------------------------------------ */

/* What is at `data`, the body of a string or a symbol; `start` is for the error. */
static PyObject *
body(Decoder *self, int mark, const char *data, Py_ssize_t size, long long start)
{
    if (mark == ':')
        return PyBytes_FromStringAndSize(data, size);
    PyObject *value = mark == '"' ? PyUnicode_DecodeUTF8(data, size, NULL)
                                  : symbol_get(self->is_brief ? NULL : &self->symbols, self->state, data, size);
    if (value == NULL)
        blame_utf8(self, mark == '"' ? "invalid UTF-8 in a string" : "invalid UTF-8 in a symbol", start);
    return value;
}

/* The number that more than 18 digits write. In halves, because Python refuses to convert what is long. */
static PyObject *
long_integer(State *state, const char *digits, Py_ssize_t size)
{
    if (size <= DIGITS_AT_ONCE) {
        char text[DIGITS_AT_ONCE + 1];
        memcpy(text, digits, (size_t)size);
        text[size] = 0;
        return PyLong_FromString(text, NULL, 10);
    }
    Py_ssize_t half = size / 2;
    PyObject *count = PyLong_FromSsize_t(half);
    PyObject *scale = count ? PyNumber_Power(state->ten, count, Py_None) : NULL;
    PyObject *high = scale ? long_integer(state, digits, size - half) : NULL;
    PyObject *low = high ? long_integer(state, digits + size - half, half) : NULL;
    PyObject *scaled = low ? PyNumber_Multiply(high, scale) : NULL;
    PyObject *number = scaled ? PyNumber_Add(scaled, low) : NULL;
    Py_XDECREF(count);
    Py_XDECREF(scale);
    Py_XDECREF(high);
    Py_XDECREF(low);
    Py_XDECREF(scaled);
    return number;
}

static PyObject *
integer(State *state, const char *digits, Py_ssize_t size, int sign)
{
    if (size <= 18) {
        long long number = 0;
        for (Py_ssize_t index = 0; index < size; index++)
            number = number * 10 + (digits[index] - '0');
        return PyLong_FromLongLong(sign == '-' ? -number : number);
    }
    PyObject *number = long_integer(state, digits, size);
    if (number == NULL || sign == '+')
        return number;
    PyObject *negative = PyNumber_Negative(number);
    Py_DECREF(number);
    return negative;
}

static long long
length(const char *digits, Py_ssize_t size)
{
    long long number = 0;
    for (Py_ssize_t index = 0; index < size; index++) {
        if (number >= HUGE_SIZE / 10)
            return HUGE_SIZE;
        number = number * 10 + (digits[index] - '0');
    }
    return number;
}

/* Keep the digits of a number that is not whole, unless they are kept already, and wait for what comes next: more
   of it, or with a mark the `count` bytes that it announces. */
static int
await_number(Decoder *self, const char *digits, Py_ssize_t size, int mark, long long count)
{
    if (digits != self->figures.data && bytes_add(&self->figures, digits, size) < 0)
        return FAILED;
    return mark == ':' ? await_body(self, 1, count) : await(self, mark ? 1 + count : 1);
}

/* Read a number at `position` and what it stands for, the digits in `figures` being read already. */
static int
read_number(Decoder *self, PyObject **value)
{
    const char *buffer = PyBytes_AS_STRING(self->buffer);
    Py_ssize_t end = self->position, end_of_buffer = PyBytes_GET_SIZE(self->buffer);
    while (end < end_of_buffer && buffer[end] >= '0' && buffer[end] <= '9')
        end++;
    const char *digits = buffer + self->position;
    Py_ssize_t size = end - self->position, start = self->position - self->figures.size;
    self->looked += size;
    if (self->figures.size + size > self->bounds.digits)
        return over_limit(self, "digits", "more than %S digits in a number: digits limit", self->base + start);
    consume_to(self, end);
    if (self->figures.size) {
        if (bytes_add(&self->figures, digits, size) < 0)
            return FAILED;
        digits = self->figures.data;
        size = self->figures.size;
    }
    if (end == end_of_buffer)
        return await_number(self, digits, size, 0, 0);
    int mark = (unsigned char)buffer[end];
    if (mark == '+' || mark == '-') {
        *value = integer(self->state, digits, size, mark);
        self->position = end + 1;
    } else if (mark == ':' || mark == '"' || mark == '\'') {
        long long count = length(digits, size);
        if (count > end_of_buffer - end - 1)
            return await_number(self, digits, size, mark, count);
        *value = body(self, mark, buffer + end + 1, (Py_ssize_t)count, start);
        if (*value != NULL)
            self->position = end + 1 + (Py_ssize_t)count;
    } else {
        return fault_byte(self, "unexpected byte 0x%02x after a number", mark, end);
    }
    self->figures.size = 0;
    if (self->figures.room > KEPT_ROOM)
        bytes_free(&self->figures);
    return *value ? FOUND : FAILED;
}

/* Read the token at `position` that is a rare one, or a number that is long or cut in two. */
static int
read_rare(Decoder *self, PyObject **value)
{
    const char *at = PyBytes_AS_STRING(self->buffer) + self->position;
    int code = (unsigned char)*at;
    if (code >= '0' && code <= '9')
        return read_number(self, value);
    if (code != 'D' && code != 'F')
        return fault_byte(self, "unexpected byte 0x%02x", code, self->position);
    Py_ssize_t size = code == 'D' ? 8 : 4;
    if (self->position + size >= PyBytes_GET_SIZE(self->buffer))
        return await(self, 1 + size);
    double number = code == 'D' ? PyFloat_Unpack8(at + 1, 0) : PyFloat_Unpack4(at + 1, 0);
    if (number == -1.0 && PyErr_Occurred())
        return FAILED;
    self->position += 1 + size;
    *value = number != number ? Py_NewRef(self->state->nan) : PyFloat_FromDouble(number);
    return *value ? FOUND : FAILED;
}

/* --- the scanner -------------------------------------------------------------------- */

static int
check_canonical(Decoder *self, const char *data, Py_ssize_t size)
{
    PyObject *done;
    if (self->raw.size) {
        if (bytes_add(&self->raw, data, size) < 0)
            return FAILED;
        data = self->raw.data;
        size = self->raw.size;
    }
    done = PyObject_CallFunction(self->state->check_canonical, "y#L", data, size, self->start);
    Py_XDECREF(done);
    bytes_free(&self->raw);
    return done ? 0 : FAILED;
}

/* From where on the open value is in the buffer. */
static Py_ssize_t
start_in_buffer(const Decoder *self)
{
    return self->start > self->base ? (Py_ssize_t)(self->start - self->base) : 0;
}

/* Hand out the one value on the stack, which ends at `position`. */
static int
complete(Decoder *self, PyObject **value)
{
    long long end = self->base + self->position;
    if (check_size(self, end) < 0)
        return FAILED;
    if (self->is_canonical) {
        Py_ssize_t from = start_in_buffer(self);
        if (check_canonical(self, PyBytes_AS_STRING(self->buffer) + from, self->position - from) < 0)
            return FAILED;
    }
    *value = self->values[--self->n_values];
    if (self->values_room > KEPT_ROOM)
        clear_stack(self);
    self->start = end;
    self->need = 1;
    self->count = 0;
    return FOUND;
}

/* Items of open containers count, too: looked at now and then, so that it costs nothing. */
static int
end_of_scan(Decoder *self, long long position)
{
    return self->count + self->n_values > self->bounds.items ? over_items(self, position) : NOT_YET;
}

/* Read the token that starts with a digit from "1" to "9". Returns where it ends. If it is not FOUND, that is
   where the scanner was. */
static inline const char *
read_digits(Decoder *self, const char *at, const char *end, PyObject **value, int *result)
{
    const char *buffer = PyBytes_AS_STRING(self->buffer), *mark = at;
    long long number = *at++ - '0';
    while (at < end && *at >= '0' && *at <= '9' && number < self->bounds.bound)
        number = number * 10 + (*at++ - '0');
    int code = at < end ? *at : 0;
    *result = FOUND;
    if (code == ':' || code == '"' || code == '\'') {
        at++;
        if (number > end - at) {
            consume_to(self, mark - buffer);
            *result = code == ':' ? await_body(self, at - mark, number) : await(self, at - mark + number);
            return at;
        }
        if ((*value = body(self, code, at, (Py_ssize_t)number, mark - buffer)) == NULL)
            *result = FAILED;
        return at + number;
    }
    if (code == '+' || code == '-') {
        if ((*value = PyLong_FromLongLong(code == '+' ? number : -number)) == NULL)
            *result = FAILED;
        return at + 1;
    }
    consume_to(self, mark - buffer);
    *result = read_rare(self, value);
    return buffer + self->position;
}

/* Put the token that was cut in two on the stack, if it is whole now. */
static int
resume(Decoder *self)
{
    PyObject *value = self->body;
    self->body = NULL;
    if (value == NULL) {
        int result = read_number(self, &value);
        if (result != FOUND)
            return result;
    }
    return push(self, value) < 0 ? FAILED : FOUND;
}

/* Read on in the buffer until a value is whole or the buffer is used up. */
static int
scan(Decoder *self, PyObject **found)
{
    PyObject *value = NULL;
    int result;
    if (self->body != NULL || (self->figures.size && self->position < PyBytes_GET_SIZE(self->buffer))) {
        if ((result = resume(self)) != FOUND)
            return result;
        if (!self->n_open) {
            consume_to(self, self->position);
            return complete(self, found);
        }
    }
    const char *buffer = PyBytes_AS_STRING(self->buffer), *end = buffer + PyBytes_GET_SIZE(self->buffer);
    const char *at = buffer + self->position, *before = at;
    while (at < end) {
        unsigned char code = (unsigned char)*at;
        if (self->n_open && code == self->open[self->n_open - 1].closer) {
            if ((value = close_container(self, at - buffer)) == NULL)
                return FAILED;
            at++;
        } else
            switch (ROLES[code]) {
            case ROLE_DIGIT:
                at = read_digits(self, at, end, &value, &result);
                if (result == FOUND)
                    break;
                self->looked += at - before;
                return result == NOT_YET ? end_of_scan(self, at - buffer) : FAILED;
            case ROLE_OPENER:
                if (open_container(self, code, at - buffer) < 0)
                    return FAILED;
                at++;
                continue;
            case ROLE_TRUE:
            case ROLE_FALSE:
                value = Py_NewRef(code == 't' ? Py_True : Py_False);
                at++;
                break;
            case ROLE_BLANK:
                while (at < end && ROLES[(unsigned char)*at] == ROLE_BLANK)
                    at++;
                if (!self->n_open && !self->is_canonical)
                    self->start = self->base + (at - buffer);
                continue;
            default:
                consume_to(self, at - buffer);
                result = read_rare(self, &value);
                at = buffer + self->position;
                if (result == FOUND)
                    break;
                self->looked += at - before;
                return result == NOT_YET ? end_of_scan(self, at - buffer) : FAILED;
            }
        if (push(self, value) < 0)
            return FAILED;
        if (!self->n_open) {
            consume_to(self, at - buffer);
            self->looked += at - before;
            return complete(self, found);
        }
    }
    consume_to(self, at - buffer);
    self->need = 1;
    self->looked += at - before;
    return end_of_scan(self, self->position);
}

/* --- the buffers --------------------------------------------------------------------- */

static long long
buffered(const Decoder *self)
{
    return PyBytes_GET_SIZE(self->buffer) - self->position + (long long)self->filled + self->tail.size;
}

static long long
offset(const Decoder *self)
{
    return self->base + self->position - self->behind;
}

static int
drop_consumed(Decoder *self)
{
    Py_ssize_t position = self->position, size = PyBytes_GET_SIZE(self->buffer);
    if (!position)
        return 0;
    const char *data = PyBytes_AS_STRING(self->buffer);
    Py_ssize_t from = start_in_buffer(self);
    if (self->is_canonical && from < position && bytes_add(&self->raw, data + from, position - from) < 0)
        return FAILED;
    PyObject *rest =
        position == size ? Py_NewRef(self->state->no_bytes) : PyBytes_FromStringAndSize(data + position, size - position);
    if (rest == NULL)
        return FAILED;
    self->base += position;
    self->position = 0;
    Py_SETREF(self->buffer, rest);
    return 0;
}

/* The tail becomes part of the buffer, of which nothing is consumed. */
static int
join_tail(Decoder *self)
{
    Py_ssize_t size = PyBytes_GET_SIZE(self->buffer);
    PyObject *joined = PyBytes_FromStringAndSize(NULL, size + self->tail.size);
    if (joined == NULL)
        return FAILED;
    memcpy(PyBytes_AS_STRING(joined), PyBytes_AS_STRING(self->buffer), (size_t)size);
    memcpy(PyBytes_AS_STRING(joined) + size, self->tail.data, (size_t)self->tail.size);
    Py_SETREF(self->buffer, joined);
    bytes_free(&self->tail);
    return 0;
}

/* Move into `body` what it can take of some bytes; returns how many these were. */
static Py_ssize_t
fill_body(Decoder *self, const char *data, Py_ssize_t size)
{
    if (size > self->whole - self->filled)
        size = self->whole - self->filled;
    if (size && PyBytes_GET_SIZE(self->body) - self->filled < size) {
        Py_ssize_t room = self->whole / 4 < self->filled + size ? self->whole : 4 * (self->filled + size);
        if (_PyBytes_Resize(&self->body, room) < 0) {
            self->filled = self->whole = 0;
            return FAILED;
        }
    }
    if (size)
        memcpy(PyBytes_AS_STRING(self->body) + self->filled, data, (size_t)size);
    self->filled += size;
    return size;
}

/* Begin the body that the scanner waits for. Room is made as it comes, not as it is announced. */
static int
begin_body(Decoder *self)
{
    const char *data = PyBytes_AS_STRING(self->buffer);
    PyObject *head = PyBytes_FromStringAndSize(data, self->head);
    self->body = head ? PyBytes_FromStringAndSize(NULL, LONG_BODY) : NULL;
    Py_ssize_t from_tail = FAILED;
    if (self->body != NULL && fill_body(self, data + self->head, PyBytes_GET_SIZE(self->buffer) - self->head) >= 0)
        from_tail = fill_body(self, self->tail.data, self->tail.size);
    if (from_tail < 0) {
        Py_XDECREF(head);
        return FAILED;
    }
    Py_SETREF(self->buffer, head);
    if ((self->tail.size -= from_tail))
        memmove(self->tail.data, self->tail.data + from_tail, (size_t)self->tail.size);
    return 0;
}

/* The body is whole: what follows it is the buffer now. */
static int
end_body(Decoder *self)
{
    Py_ssize_t consumed = self->head + self->whole;
    PyObject *rest = PyBytes_FromStringAndSize(self->tail.data, self->tail.size);
    if (rest == NULL)
        return FAILED;
    bytes_free(&self->tail);
    Py_SETREF(self->buffer, rest);
    self->base += consumed;
    self->behind = self->figures.size ? 0 : consumed; /* digits that wait are consumed, and so is what they count */
    self->figures.size = 0;
    self->filled = self->whole = 0;
    return 0;
}

static int
scan_or_stand_in(Decoder *self, PyObject **value)
{
    if (self->scan_instead == NULL)
        return scan(self, value);
    *value = PyObject_CallNoArgs(self->scan_instead);
    return *value ? FOUND : FAILED;
}

static int
read_value(Decoder *self, PyObject **value)
{
    for (;;) {
        if (buffered(self) >= self->need) {
            if (self->whole && end_body(self) < 0)
                return FAILED;
            int result = scan_or_stand_in(self, value);
            if (result == FOUND && *value != self->state->need_data)
                return FOUND;
            if (result == FOUND)
                Py_CLEAR(*value);
            if (result == FAILED || check_size(self, self->base + PyBytes_GET_SIZE(self->buffer)) < 0)
                return FAILED;
        }
        if (drop_consumed(self) < 0 || (self->whole && self->body == NULL && begin_body(self) < 0))
            return FAILED;
        if (buffered(self) < self->need || (!self->tail.size && !self->whole))
            return NOT_YET;
        if (!self->whole && join_tail(self) < 0)
            return FAILED;
    }
}

/* --- the life of a decoder -------------------------------------------------------------- */

static PyObject *
raise_again(Decoder *self)
{
    PyException_SetTraceback(self->error, Py_None);
    PyErr_SetObject((PyObject *)Py_TYPE(self->error), self->error);
    return NULL;
}

static PyObject *
take_error(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

static void
put_error(PyObject *error)
{
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
}

/* Remember the error that is set, and let go of everything else. */
static void
break_decoder(Decoder *self)
{
    PyObject *error = take_error(), *kept = NULL;
    if (PyErr_GivenExceptionMatches(error, PyExc_Exception)) {
        kept = Py_NewRef(error);
    } else {
        fault(self, "reading was interrupted", self->position - self->behind);
        kept = take_error();
    }
    self->base = offset(self);
    consume_to(self, 0);
    Py_SETREF(self->buffer, Py_NewRef(self->state->no_bytes));
    Py_CLEAR(self->body);
    self->filled = self->whole = 0;
    bytes_free(&self->tail);
    bytes_free(&self->figures);
    bytes_free(&self->raw);
    Py_XSETREF(self->error, kept);
    clear_stack(self);
    symbols_clear(&self->symbols);
    put_error(error);
}

static int
refuse_if_busy(Decoder *self)
{
    if (self->is_busy)
        PyErr_SetString(PyExc_RuntimeError, "this decoder is reading a value right now");
    return self->is_busy ? -1 : 0;
}

PyDoc_STRVAR(next_value_doc, "next_value($self, /)\n--\n\nThe next whole value, or `NEED_DATA`.\n\n"
                             "Raises:\n    SyrupDecodeError: the bytes are no Syrup, or pass a limit.");

static PyObject *
next_value(Decoder *self, PyObject *Py_UNUSED(none))
{
    PyObject *value = NULL;
    if (self->error != NULL)
        return raise_again(self);
    if (refuse_if_busy(self) < 0)
        return NULL;
    self->is_busy = 1;
    int result = read_value(self, &value);
    self->is_busy = 0;
    if (result == FAILED) {
        break_decoder(self);
        return NULL;
    }
    return result == FOUND ? value : Py_NewRef(self->state->need_data);
}

static int
feed_tail(Decoder *self, PyObject *data)
{
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        PyErr_Format(PyExc_TypeError, "can't concat %.100s to bytearray", Py_TYPE(data)->tp_name);
        return -1;
    }
    Py_ssize_t used = self->whole ? fill_body(self, view.buf, view.len) : 0;
    if (used < 0)
        break_decoder(self); /* what was gathered is lost */
    else if (bytes_add(&self->tail, (const char *)view.buf + used, view.len - used) < 0)
        used = FAILED;
    PyBuffer_Release(&view);
    return used < 0 ? -1 : 0;
}

static int
is_used_up(const Decoder *self)
{
    return !self->is_busy && self->position == PyBytes_GET_SIZE(self->buffer) && !self->tail.size;
}

PyDoc_STRVAR(feed_doc, "feed($self, data, /)\n--\n\nAdd bytes, any number. They are looked at by `next_value` only.");

static PyObject *
feed(Decoder *self, PyObject *data)
{
    if (self->error != NULL)
        return raise_again(self);
    if (is_used_up(self)) {
        PyObject *bytes =
            PyBytes_CheckExact(data) ? Py_NewRef(data) : PyObject_CallOneArg((PyObject *)&PyBytes_Type, data);
        if (bytes == NULL)
            return NULL;
        if (is_used_up(self)) { /* still: making bytes of something may run anything */
            if (drop_consumed(self) < 0) {
                Py_DECREF(bytes);
                return NULL;
            }
            Py_SETREF(self->buffer, bytes);
            Py_RETURN_NONE;
        }
        int result = feed_tail(self, bytes);
        Py_DECREF(bytes);
        if (result < 0)
            return NULL;
    } else if (feed_tail(self, data) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static int
is_at_border(const Decoder *self)
{
    return !buffered(self) && self->start == offset(self);
}

PyDoc_STRVAR(at_border_doc, "at_border($self, /)\n--\n\nWhether all that was fed is consumed and no value is open.");

static PyObject *
at_border(Decoder *self, PyObject *Py_UNUSED(none))
{
    return PyBool_FromLong(is_at_border(self));
}

PyDoc_STRVAR(finish_doc,
             "finish($self, /)\n--\n\nSay that the input has ended; call it after `next_value` returned `NEED_DATA`.\n\n"
             "Raises:\n    SyrupDecodeError: it ended within a value.");

static PyObject *
finish(Decoder *self, PyObject *Py_UNUSED(none))
{
    if (self->error != NULL)
        return raise_again(self);
    if (refuse_if_busy(self) < 0)
        return NULL;
    if (is_at_border(self))
        Py_RETURN_NONE;
    fault(self, "the input ended within a value", self->position + buffered(self));
    break_decoder(self);
    return NULL;
}

static PyObject *
get_buffered(Decoder *self, void *Py_UNUSED(none))
{
    return PyLong_FromLongLong(buffered(self));
}

static PyObject *
get_offset(Decoder *self, void *Py_UNUSED(none))
{
    return PyLong_FromLongLong(offset(self));
}

static PyObject *
get_symbols(Decoder *self, void *Py_UNUSED(none))
{
    return symbols_dict(&self->symbols);
}

/* --- the type ------------------------------------------------------------------------------ */

static int
read_limit(PyObject *limits, const char *name, long long *limit)
{
    PyObject *value = PyObject_GetAttrString(limits, name);
    if (value == NULL)
        return -1;
    int overflow;
    *limit = PyLong_AsLongLongAndOverflow(value, &overflow);
    Py_DECREF(value);
    if (overflow)
        *limit = overflow > 0 ? INT64_MAX : 0;
    return *limit == -1 && PyErr_Occurred() ? -1 : 0;
}

int
read_bounds(PyObject *limits, Bounds *bounds)
{
    if (read_limit(limits, "depth", &bounds->depth) < 0 || read_limit(limits, "value_size", &bounds->value_size) < 0
        || read_limit(limits, "digits", &bounds->digits) < 0 || read_limit(limits, "items", &bounds->items) < 0)
        return -1;
    bounds->bound = 1;
    for (long long digits = 1; digits < bounds->digits && digits <= 8; digits++)
        bounds->bound *= 10;
    return 0;
}

static int
set_limits(Decoder *self, PyObject *limits)
{
    if (limits == self->state->default_limits)
        self->bounds = self->state->defaults;
    else if (read_bounds(limits, &self->bounds) < 0)
        return -1;
    Py_XSETREF(self->limits, Py_NewRef(limits));
    return 0;
}

static Decoder *
new_decoder(PyTypeObject *type, State *state)
{
    Decoder *self = (Decoder *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->state = state;
    self->buffer = Py_NewRef(state->no_bytes);
    self->need = 1;
    if (set_limits(self, state->default_limits) < 0)
        Py_CLEAR(self);
    return self;
}

static PyObject *
decoder_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    PyObject *module = PyType_GetModuleByDef(type, &goblins_native_module);
    return module ? (PyObject *)new_decoder(type, PyModule_GetState(module)) : NULL;
}

static int
decoder_init(Decoder *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"limits", "canonical", "special", NULL};
    PyObject *limits = NULL, *special = Py_None;
    int is_canonical = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$pO:Decoder", names, &limits, &is_canonical, &special))
        return -1;
    if (self->is_busy || self->base || PyBytes_GET_SIZE(self->buffer) || self->error != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this decoder is in use");
        return -1;
    }
    if (limits != NULL && limits != self->limits && set_limits(self, limits) < 0)
        return -1;
    self->is_canonical = (char)is_canonical;
    Py_XSETREF(self->special, special == Py_None ? NULL : Py_NewRef(special));
    return 0;
}

static int
decoder_traverse(Decoder *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->limits);
    Py_VISIT(self->special);
    Py_VISIT(self->error);
    Py_VISIT(self->scan_instead);
    for (Py_ssize_t index = 0; index < self->n_values; index++)
        Py_VISIT(self->values[index]);
    return symbols_traverse(&self->symbols, visit, arg);
}

static int
decoder_clear(Decoder *self)
{
    Py_CLEAR(self->limits);
    Py_CLEAR(self->special);
    Py_CLEAR(self->error);
    Py_CLEAR(self->scan_instead);
    clear_stack(self);
    symbols_clear(&self->symbols);
    return 0;
}

static void
decoder_dealloc(Decoder *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->weak_references != NULL)
        PyObject_ClearWeakRefs((PyObject *)self);
    decoder_clear(self);
    Py_CLEAR(self->buffer);
    Py_CLEAR(self->body);
    bytes_free(&self->tail);
    bytes_free(&self->figures);
    bytes_free(&self->raw);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"feed", (PyCFunction)feed, METH_O, feed_doc},
    {"next_value", (PyCFunction)next_value, METH_NOARGS, next_value_doc},
    {"at_border", (PyCFunction)at_border, METH_NOARGS, at_border_doc},
    {"finish", (PyCFunction)finish, METH_NOARGS, finish_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"_buffer", T_OBJECT, offsetof(Decoder, buffer), READONLY, NULL},
    {"_scan", T_OBJECT_EX, offsetof(Decoder, scan_instead), 0, NULL},
    {"_looked", T_LONGLONG, offsetof(Decoder, looked), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Decoder, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"buffered", (getter)get_buffered, NULL, "How many bytes were fed and are not consumed yet.", NULL},
    {"offset", (getter)get_offset, NULL, "How many bytes of the whole input are consumed.", NULL},
    {"_symbols", (getter)get_symbols, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, decoder_new},
    {Py_tp_init, decoder_init},
    {Py_tp_dealloc, decoder_dealloc},
    {Py_tp_traverse, decoder_traverse},
    {Py_tp_clear, decoder_clear},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_getset, attributes},
    {0, NULL},
};

PyType_Spec goblins_decoder_spec = {
    .name = "goblins_py.syrup._native.Decoder",
    .basicsize = sizeof(Decoder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

/* --- decode(data, *, canonical=False, limits=Limits(), special=None) --------------------------- */

enum { DATA, CANONICAL, LIMITS, SPECIAL, PARAMETERS };

static int
set_up(Decoder *self, PyObject **found)
{
    int is_canonical = found[CANONICAL] ? PyObject_IsTrue(found[CANONICAL]) : 0;
    if (is_canonical < 0 || (found[LIMITS] != NULL && set_limits(self, found[LIMITS]) < 0))
        return -1;
    self->is_canonical = (char)is_canonical;
    self->is_brief = 1;
    self->special = found[SPECIAL] == Py_None ? NULL : Py_XNewRef(found[SPECIAL]);
    return 0;
}

/* Refuse a value that is not whole, and what follows one. */
static PyObject *
only_value(Decoder *self, PyObject *data, PyObject *value)
{
    if (value == self->state->need_data) {
        Py_ssize_t size = PyObject_Size(data);
        if (size >= 0)
            raise_at(self, PyUnicode_FromString("the input ends within a value"), size);
        Py_CLEAR(value);
    } else if (buffered(self)) {
        fault(self, "something follows the value", self->position);
        Py_CLEAR(value);
    }
    return value;
}

PyObject *
goblins_decode(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    static const char *const known[] = {"data", "canonical", "limits", "special", NULL};
    PyObject *found[PARAMETERS] = {NULL}, *value = NULL;
    if (read_arguments("decode", known, 1, args, nargs, names, found) < 0)
        return NULL;
    State *state = PyModule_GetState(module);
    Decoder *self = new_decoder(state->Decoder, state);
    PyObject *fed = self && set_up(self, found) == 0 ? feed(self, found[DATA]) : NULL;
    if (fed != NULL && (value = next_value(self, NULL)) != NULL)
        value = only_value(self, found[DATA], value);
    Py_XDECREF(fed);
    Py_XDECREF(self);
    return value;
}
