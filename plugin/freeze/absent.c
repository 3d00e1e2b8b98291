/* Functions that libpython's objects mention and this program must not have.

   Linked before libc, these stand in for libc's own, which then stay out. */
#include <errno.h>
#include <netdb.h>
#include <grp.h>
#include <stddef.h>

/* libgcc registers the whole of .eh_frame at start and sorts it, so that C++
   could unwind. Nothing here unwinds: 1.5 M instructions saved of 10.2 M. */
void __register_frame_info(const void *begin, void *object) {}
void *__deregister_frame_info(const void *begin) { return NULL; }

/* A static program cannot load shared objects: the half of CPython that would. */
const char *_PyImport_DynLoadFiletab[] = {NULL};
void *_PyImport_FindSharedFuncptr(const char *prefix, const char *name,
                                  const char *path, void *file)
{
    return NULL;
}

/* Nor has it libc's name services, which are shared objects: without these the
   linker warns of each, and the file is larger. */
int getgrouplist(const char *user, gid_t group, gid_t *groups, int *count)
{
    errno = ENOSYS;
    return -1;
}

int initgroups(const char *user, gid_t group)
{
    errno = ENOSYS;
    return -1;
}

int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints,
                struct addrinfo **restrict found)
{
    return EAI_FAIL;
}

void freeaddrinfo(struct addrinfo *found) {}
const char *gai_strerror(int code) { return "static: no name service"; }

int getnameinfo(const struct sockaddr *restrict address, socklen_t length,
                char *restrict host, socklen_t host_size,
                char *restrict service, socklen_t service_size, int flags)
{
    return EAI_FAIL;
}

int gethostbyaddr_r(const void *restrict address, socklen_t length, int type,
                    struct hostent *restrict entry, char *restrict buffer,
                    size_t size, struct hostent **restrict found,
                    int *restrict error)
{
    *found = NULL;
    *error = NO_RECOVERY;
    return ENOSYS;
}

int gethostbyname_r(const char *restrict name, struct hostent *restrict entry,
                    char *restrict buffer, size_t size,
                    struct hostent **restrict found, int *restrict error)
{
    return gethostbyaddr_r(name, 0, 0, entry, buffer, size, found, error);
}

struct protoent *getprotobyname(const char *name) { return NULL; }
struct servent *getservbyname(const char *name, const char *protocol) { return NULL; }
struct servent *getservbyport(int port, const char *protocol) { return NULL; }
const char *hstrerror(int code) { return "static: no name service"; }
