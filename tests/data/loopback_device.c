/* A stand-in for v4l2loopback, loaded with LD_PRELOAD: the file or FIFO at $LOOPBACK_DEVICE answers as a virtual camera.
   It accepts any size of I420, or always $LOOPBACK_SIZE ("640x360"). What is written to it are the pictures. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_device(int file) {
    char link[64], path[4096] = "";
    const char *device = getenv("LOOPBACK_DEVICE");
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    return device && readlink(link, path, sizeof path - 1) > 0 && !strcmp(path, device);
}

static int answer(unsigned long request, void *argument) {
    if (request == VIDIOC_QUERYCAP) {
        struct v4l2_capability *caps = argument;
        memset(caps, 0, sizeof *caps);
        strcpy((char *)caps->driver, "v4l2 loopback");
        strcpy((char *)caps->card, "Stand-in");
        caps->capabilities = V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_READWRITE;
    } else if (request == VIDIOC_S_FMT) {
        struct v4l2_pix_format *format = &((struct v4l2_format *)argument)->fmt.pix;
        const char *size = getenv("LOOPBACK_SIZE");
        if (size) sscanf(size, "%ux%u", &format->width, &format->height);
    } else if (request != VIDIOC_S_PARM) {
        errno = ENOTTY;
        return -1;
    }
    return 0;
}

int ioctl(int file, unsigned long request, ...) {
    static int (*next)(int, unsigned long, ...);
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (_IOC_TYPE(request) == 'V' && is_device(file)) return answer(request, argument);
    if (!next) next = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    return next(file, request, argument);
}
