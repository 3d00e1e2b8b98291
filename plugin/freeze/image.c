/* Saves a started interpreter into the executable, and takes it up again.

   Most of what a Python does at its start is always the same: types, interned names,
   our modules. So the build runs it once. The program that the linker made (the
   maker) starts the interpreter, imports every module and writes its own variables
   and memory to stdout; image.py puts those bytes into a copy of the file, where
   the kernel maps them as it maps any program's data.

   Measured on Python 3.11, from exec to exit (an empty C program: 0.7 ms):
                                       anew                      saved
     printing one line      7.8 M instructions, 3.7 ms       0.08 M, 1.0 ms
     VERSION, all modules  16.0 M instructions, 8.0 ms       0.50 M, 2.0 ms
   What is left are page faults, some 3 us each. Mapping the pages beforehand
   (MADV_POPULATE_*) costs more, as most are not needed; running VERSION in the maker
   to fill caches, or one allocator instead of Python's pools, gave nothing.

   Why this is sound:
   - The program is linked to fixed addresses, so a saved pointer stays right.
   - Only variables of Python and of ours are saved, never libc's: libc starts anew
     in each process and fits itself to its kernel and processor. The linker lays
     variables out in the order of the command line, this file stands between
     libpython and libc, and its last variables mark the border.
   - Memory that is asked for while the image is open lies in `image.heap` below.
   - No descriptor, thread, lock or signal handler is held when it is saved: even the
     thread state, which knows stack and thread, is made anew when it wakes.
   What a module reads of its surroundings while it is imported would be that of the
   build: modules must not (main.c renews sys.argv and posix.environ). The hash seed
   and the place of the memory are the same in all runs: keys made to collide, in a
   pod's annotations, could slow down that pod's own ADD. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image.h"

#if IMAGE

enum { HEAP_SIZE = 32 << 20, ALIGNMENT = 16, PAGE = 4096 };

extern char __data_start[], __bss_start[]; /* the linker's, as is the next */
extern void (*__init_array_start[])(void);

/* The last variable of .bss before libc's: one, for a compiler may order several. */
static struct {
    int is_open;
    size_t used;
    PyInterpreterState *interpreter;
    pthread_key_t last_key;
    _Alignas(PAGE) char heap[HEAP_SIZE];
} image;

char image_data_end[8] = {1}; /* the last of .data before libc's */

static void do_nothing(void) {}

/* The last of the functions to call before main(), before libc's. */
__attribute__((section(".init_array"), used)) static void (*image_init_end[])(void) = {
    do_nothing,
};

/* The linker's --wrap leads every call of these here. While the image is open,
   memory is handed out in sequence and never reused; later libc serves, and what
   belongs to the image is never given to it. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);

static int is_inside(const void *block)
{
    return (char *)block >= image.heap && (char *)block < image.heap + HEAP_SIZE;
}

static void *take(size_t size, size_t alignment)
{
    size_t start = (image.used + sizeof(size) + alignment - 1) / alignment * alignment;

    if (start > HEAP_SIZE || size > HEAP_SIZE - start)
        return NULL;
    image.used = start + size;
    memcpy(image.heap + start - sizeof(size), &size, sizeof(size));
    return image.heap + start;
}

void *__wrap_malloc(size_t size)
{
    return image.is_open ? take(size, ALIGNMENT) : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return image.is_open ? take(count * size, ALIGNMENT) : __real_calloc(count, size);
}

static size_t size_of(const void *block)
{
    size_t size;

    memcpy(&size, (const char *)block - sizeof(size), sizeof(size));
    return size;
}

void __wrap_free(void *block)
{
    if (!is_inside(block))
        __real_free(block);
    else if (image.is_open) /* what was in it may be other in each run */
        memset(block, 0, size_of(block));
}

void *__wrap_realloc(void *block, size_t size)
{
    if (block && !is_inside(block))
        return __real_realloc(block, size);
    void *fresh = __wrap_malloc(size);
    if (fresh && block) {
        memcpy(fresh, block, size_of(block) < size ? size_of(block) : size);
        __wrap_free(block);
    }
    return fresh;
}

/* The one thread's name in Python, alike in the maker and in every later process;
   Python 3.13 asks in the second way too. */
unsigned long __wrap_PyThread_get_thread_ident(void)
{
    return 1;
}

unsigned long long __wrap_PyThread_get_thread_ident_ex(void)
{
    return 1;
}

/* Arenas are what Python cuts its objects from; by default they are mapped. */
static void *take_arena(void *context, size_t size)
{
    return image.is_open ? take(size, PAGE) : aligned_alloc(PAGE, size);
}

static void free_arena(void *context, void *arena, size_t size)
{
    __wrap_free(arena);
}

void image_open(void)
{
    PyObjectArenaAllocator arenas = {NULL, take_arena, free_arena};

    image.is_open = 1;
    PyObject_SetArenaAllocator(&arenas);
}

int image_is_saved(void)
{
    return image.interpreter != NULL;
}

static int write_all(const void *start, size_t size)
{
    for (const char *next = start; size;) {
        ssize_t done = write(STDOUT_FILENO, next, size);
        if (done < 0)
            return -1;
        next += done;
        size -= (size_t)done;
    }
    return 0;
}

int image_write(void)
{
    if ((char *)&stdin < image_data_end || (char *)&environ < image.heap + HEAP_SIZE) {
        fputs("image: libc's variables are not behind Python's\n", stderr);
        return 1;
    }
    PyThreadState *thread = PyThreadState_Get();
    /* Left-over pointers of frames that ended: dead, and other ones in each run. */
    memset(thread->datastack_top, 0,
           (char *)thread->datastack_limit - (char *)thread->datastack_top);
    thread->native_thread_id = 0;
    image.interpreter = thread->interp;
    PyEval_SaveThread();
    if (pthread_key_create(&image.last_key, NULL))
        return 1;
    image.is_open = 0;

    /* Python's own such functions have done their work: 3.13's would do it again. */
    for (void (**init)(void) = __init_array_start; init < image_init_end; init++)
        *init = do_nothing;
    uintptr_t ranges[][2] = {
        {(uintptr_t)__init_array_start, (uintptr_t)image_init_end},
        {(uintptr_t)__data_start, (uintptr_t)image_data_end},
        {(uintptr_t)__bss_start, (uintptr_t)image.heap + image.used},
    };
    uintptr_t first = ranges[0][0], size = ranges[2][1] - first;
    return write_all(ranges, sizeof(ranges)) || write_all((char *)first, size);
}

int image_wake(void)
{
    pthread_key_t key;

    /* Keys of thread-local values are numbered from 0, and libc has lost them. */
    do {
        if (pthread_key_create(&key, NULL))
            return -1;
    } while (key < image.last_key);
    PyThreadState *thread = PyThreadState_New(image.interpreter);
    if (!thread)
        return -1;
    PyEval_RestoreThread(thread);
    return 0;
}

#else

void image_open(void) {}
int image_write(void) { return 1; }
int image_wake(void) { return -1; }
int image_is_saved(void) { return 0; }

#endif
