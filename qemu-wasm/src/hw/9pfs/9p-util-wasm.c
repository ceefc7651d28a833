/*
 * 9p utilities for Emscripten, whose file system has no extended attributes
 * and numbers errors as WASI does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/*
 * Not so fast! You might want to read the 9p developer docs first:
 * https://wiki.qemu.org/Documentation/9p
 */

#include "qemu/osdep.h"
#include "qemu/xattr.h"
#include "9p-util.h"

ssize_t fgetxattr(int fd, const char *name, void *value, size_t size)
{
    errno = ENOTSUP;
    return -1;
}

ssize_t fgetxattrat_nofollow(int dirfd, const char *filename, const char *name,
                             void *value, size_t size)
{
    errno = ENOTSUP;
    return -1;
}

ssize_t flistxattrat_nofollow(int dirfd, const char *filename,
                              char *list, size_t size)
{
    errno = ENOTSUP;
    return -1;
}

ssize_t fremovexattrat_nofollow(int dirfd, const char *filename,
                                const char *name)
{
    errno = ENOTSUP;
    return -1;
}

int fsetxattrat_nofollow(int dirfd, const char *filename, const char *name,
                         void *value, size_t size, int flags)
{
    errno = ENOTSUP;
    return -1;
}

int qemu_mknodat(int dirfd, const char *filename, mode_t mode, dev_t dev)
{
    return mknodat(dirfd, filename, mode, dev);
}

/* Linux's numbers of the errors that file operations give. */
int wasm_errno_to_linux(int err)
{
    static const struct {
        int ours, linux_errno;
    } map[] = {
        { EPERM, 1 }, { ENOENT, 2 }, { EINTR, 4 }, { EIO, 5 }, { ENXIO, 6 },
        { EBADF, 9 }, { EAGAIN, 11 }, { ENOMEM, 12 }, { EACCES, 13 },
        { EFAULT, 14 }, { EBUSY, 16 }, { EEXIST, 17 }, { EXDEV, 18 },
        { ENODEV, 19 }, { ENOTDIR, 20 }, { EISDIR, 21 }, { EINVAL, 22 },
        { ENFILE, 23 }, { EMFILE, 24 }, { ENOTTY, 25 }, { ETXTBSY, 26 },
        { EFBIG, 27 }, { ENOSPC, 28 }, { ESPIPE, 29 }, { EROFS, 30 },
        { EMLINK, 31 }, { EPIPE, 32 }, { ERANGE, 34 }, { EDEADLK, 35 },
        { ENAMETOOLONG, 36 }, { ENOLCK, 37 }, { ENOSYS, 38 },
        { ENOTEMPTY, 39 }, { ELOOP, 40 }, { ENODATA, 61 }, { EPROTO, 71 },
        { EOVERFLOW, 75 }, { ENOTSUP, 95 }, { EDQUOT, 122 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
        if (map[i].ours == err) {
            return map[i].linux_errno;
        }
    }
    return 5; /* EIO */
}
