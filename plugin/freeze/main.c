/* Starts the interpreter inside this file, runs plugin.__main__.start(), leaves.

   Never reads the node: no environment variables of Python, no site, no path, no
   locale. What the node's Python is, or whether it has one, changes nothing here. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "image.h"

#if PY_VERSION_HEX < 0x030b0000
#error "pycni needs Python 3.11 or newer"
#endif

/* 0 stops after the core phase of initialisation: builtin and frozen modules work,
   while sys.stdin, sys.stdout, print and the importer of files do not exist. The
   whole initialisation has some page faults more, and streams the build opened. */
#ifndef FULL_INIT
#define FULL_INIT 0
#endif

enum { EXIT_UNCAUGHT = 70 }; /* EX_SOFTWARE of sysexits.h */

extern int _PySignal_Init(int install_signal_handlers);
extern struct _inittab _PyImport_Inittab[];
extern const struct _frozen pycni_modules[];

/* What a caller may have closed: else our next socket or lock file would be stdin or
   stdout to us. What is put there fails as a closed one does, but for stderr. */
static void hold_standard_descriptors(void)
{
    static const int modes[] = {O_WRONLY, O_RDONLY, O_WRONLY};

    for (int descriptor = 0; descriptor < 3; descriptor++)
        if (fcntl(descriptor, F_GETFD) < 0)
            open("/dev/null", modes[descriptor]);
}

/* A reader that went away is an error to be handled, not our death half-way; and the
   alarm that ends a wait for a lock must come through, whatever the caller blocks. */
static void set_signals(void)
{
    sigset_t alarm;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &alarm, NULL);
}

static void require(PyStatus status)
{
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

/* Every path the configuration could search for is given: it then searches none. */
static void set_paths(PyConfig *config)
{
    wchar_t **paths[] = {
        &config->program_name, &config->executable,      &config->base_executable,
        &config->home,         &config->prefix,          &config->base_prefix,
        &config->exec_prefix,  &config->base_exec_prefix, &config->stdlib_dir,
    };

    for (size_t i = 0; i < Py_ARRAY_LENGTH(paths); i++)
        require(PyConfig_SetString(config, paths[i], L"/pycni"));
    config->module_search_paths_set = 1;
}

static void start_interpreter(void)
{
    PyPreConfig before;
    PyConfig config;

    PyImport_FrozenModules = pycni_modules;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    require(Py_PreInitialize(&before));

    PyConfig_InitIsolatedConfig(&config);
#if !FULL_INIT
    config._init_main = 0; /* provisional: does Python lack it now? FULL_INIT=1 */
#endif
    config.use_hash_seed = 1; /* the image keeps the hashes, whatever the seed */
    config.hash_seed = 0;
    config.site_import = 0;
    config.write_bytecode = 0;
    config.install_signal_handlers = 0;
    config.pathconfig_warnings = 0;
    config.use_frozen_modules = 1;
    config.code_debug_ranges = 0;
    set_paths(&config);
    require(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
    /* What _signal stands on; the core phase leaves it out. */
    if (!FULL_INIT && _PySignal_Init(0) < 0)
        require(PyStatus_Error("no signals"));
}

static int report_uncaught(void)
{
    PyErr_Print();
    return EXIT_UNCAUGHT;
}

/* The core phase leaves sys.argv out. */
static int set_argv(int argc, char **argv)
{
    PyObject *list = PyList_New(argc);

    for (int i = 0; list && i < argc; i++) {
        PyObject *text = PyUnicode_DecodeUTF8(argv[i], strlen(argv[i]), "surrogateescape");
        if (!text)
            return -1;
        PyList_SET_ITEM(list, i, text);
    }
    return list ? PySys_SetObject("argv", list) : -1;
}

/* A saved posix.environ is the build's: give it this process's variables. */
static int set_environ(void)
{
    PyObject *posix = PyImport_ImportModule("posix");
    PyObject *table = posix ? PyObject_GetAttrString(posix, "environ") : NULL;

    if (!table)
        return -1;
    PyDict_Clear(table);
    /* Of a name, the first value counts, as in getenv(3) and in posix itself. */
    for (char **entry = environ; *entry; entry++) {
        const char *equals = strchr(*entry, '=');
        if (!equals)
            continue;
        PyObject *name = PyBytes_FromStringAndSize(*entry, equals - *entry);
        PyObject *value = PyBytes_FromString(equals + 1);
        if (!name || !value || !PyDict_SetDefault(table, name, value))
            return -1;
    }
    return 0;
}

/* All of them, whether a run needs them or not: saved, they cost it nothing. */
static int import_modules(void)
{
    for (const struct _inittab *builtin = _PyImport_Inittab; builtin->name; builtin++)
        if (!PyImport_ImportModule(builtin->name))
            return -1;
    for (const struct _frozen *module = pycni_modules; module->name; module++)
        if (!PyImport_ImportModule(module->name))
            return -1;
    return 0;
}

static int make_image(void)
{
    image_open();
    start_interpreter();
    if (import_modules() < 0)
        return report_uncaught();
    PyGC_Collect();
    /* A run is over before a collection would pay; each touches all objects. */
    PyGC_Disable();
    return image_write();
}

static int run_plugin(int argc, char **argv)
{
    if (set_argv(argc, argv) < 0 || set_environ() < 0)
        return report_uncaught();
    PyObject *module = PyImport_ImportModule("plugin.__main__");
    PyObject *code = module ? PyObject_CallMethod(module, "start", NULL) : NULL;
    long status = code ? PyLong_AsLong(code) : -1;
    return PyErr_Occurred() ? report_uncaught() : (int)status;
}

int main(int argc, char **argv)
{
    if (IMAGE && !image_is_saved())
        return make_image();
    hold_standard_descriptors();
    set_signals();
    if (IMAGE && image_wake() < 0)
        return EXIT_UNCAUGHT;
    if (!IMAGE)
        start_interpreter();
    /* Taking the interpreter down would cost more than it gives: the kernel does. */
    _exit(run_plugin(argc, argv));
}
