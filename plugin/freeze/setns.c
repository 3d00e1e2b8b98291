/* _setns: the two namespace calls that posix lacks before Python 3.12. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <sched.h>

static PyObject *answer(int result)
{
    if (result < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyObject *setns_setns(PyObject *module, PyObject *args)
{
    int fd, nstype = 0;

    if (!PyArg_ParseTuple(args, "i|i", &fd, &nstype))
        return NULL;
    return answer(setns(fd, nstype));
}

static PyObject *setns_unshare(PyObject *module, PyObject *args)
{
    int flags;

    if (!PyArg_ParseTuple(args, "i", &flags))
        return NULL;
    return answer(unshare(flags));
}

static PyMethodDef methods[] = {
    {"setns", setns_setns, METH_VARARGS, "setns(fd, nstype=0)"},
    {"unshare", setns_unshare, METH_VARARGS, "unshare(flags)"},
    {NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_setns", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__setns(void)
{
    return PyModule_Create(&definition);
}
