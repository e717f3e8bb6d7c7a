/* A stand-in for a V4L2 camera, loaded with LD_PRELOAD: the file at $CAPTURE_DEVICE captures YUYV, 160x120 at 30 a second.
   Picture n has luma 40 + n % 50 * 4, and chroma 90 and 160. If asked for MJPEG, it sends the picture at $CAPTURE_JPEG,
   if there is one. After $CAPTURE_FRAMES pictures the camera is unplugged. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 160, HEIGHT = 120, SIZE = WIDTH * HEIGHT * 2, SLOT = (SIZE + 4095) / 4096 * 4096, SLOTS = 4 };
static unsigned queued[64], first, last, number, compressed;
static struct timespec next_picture;

static int is_device(int file) {
    char link[64], path[4096] = "";
    const char *device = getenv("CAPTURE_DEVICE");
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    return device && readlink(link, path, sizeof path - 1) > 0 && !strcmp(path, device);
}

static int fail(int error) {
    errno = error;
    return -1;
}

static int jpeg(unsigned char *picture) {
    FILE *file = fopen(getenv("CAPTURE_JPEG"), "rb");
    int length = file ? (int)fread(picture, 1, SIZE, file) : 0;
    if (file) fclose(file);
    return length;
}

static int capture(int file, struct v4l2_buffer *buffer) {
    static unsigned char picture[SIZE];
    const char *limit = getenv("CAPTURE_FRAMES");
    if (limit && number >= (unsigned)atoi(limit)) return fail(ENODEV);
    if (!next_picture.tv_sec) clock_gettime(CLOCK_MONOTONIC, &next_picture);
    next_picture.tv_nsec += 1000000000 / 30;
    if (next_picture.tv_nsec >= 1000000000) next_picture.tv_sec++, next_picture.tv_nsec -= 1000000000;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next_picture, NULL);
    for (int i = 0; i < SIZE; i += 4) {
        picture[i] = picture[i + 2] = 40 + number % 50 * 4;
        picture[i + 1] = 90, picture[i + 3] = 160;
    }
    int length = compressed ? jpeg(picture) : SIZE;
    buffer->index = queued[first++ % 64];
    buffer->bytesused = length, buffer->length = SIZE;
    buffer->flags = 0;
    buffer->sequence = number++;
    buffer->timestamp.tv_sec = next_picture.tv_sec;
    buffer->timestamp.tv_usec = next_picture.tv_nsec / 1000;
    return pwrite(file, picture, length, (off_t)buffer->index * SLOT) == length ? 0 : fail(EIO);
}

static int answer(int file, unsigned long request, void *argument) {
    struct v4l2_capability *caps = argument;
    struct v4l2_pix_format *pix = &((struct v4l2_format *)argument)->fmt.pix;
    struct v4l2_buffer *buffer = argument;
    struct v4l2_streamparm *parm = argument;
    switch (request) {
    case VIDIOC_QUERYCAP:
        memset(caps, 0, sizeof *caps);
        strcpy((char *)caps->driver, "uvcvideo");
        strcpy((char *)caps->card, "Stand-in");
        caps->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        return 0;
    case VIDIOC_G_INPUT: *(int *)argument = 0; return 0;
    case VIDIOC_ENUMINPUT: return 0;
    case VIDIOC_G_FMT:
    case VIDIOC_S_FMT:
        compressed = getenv("CAPTURE_JPEG") && request == VIDIOC_S_FMT && pix->pixelformat == V4L2_PIX_FMT_MJPEG;
        pix->width = WIDTH, pix->height = HEIGHT, pix->field = V4L2_FIELD_NONE;
        pix->pixelformat = compressed ? V4L2_PIX_FMT_MJPEG : V4L2_PIX_FMT_YUYV;
        pix->bytesperline = WIDTH * 2, pix->sizeimage = SIZE;
        return 0;
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM:
        parm->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
        parm->parm.capture.timeperframe.numerator = 1, parm->parm.capture.timeperframe.denominator = 30;
        return 0;
    case VIDIOC_REQBUFS:
        ((struct v4l2_requestbuffers *)argument)->count = SLOTS;
        first = last = 0;
        return ftruncate(file, (off_t)SLOT * SLOTS);
    case VIDIOC_QUERYBUF: buffer->length = SIZE, buffer->m.offset = buffer->index * SLOT; return 0;
    case VIDIOC_QBUF: queued[last++ % 64] = buffer->index; return 0;
    case VIDIOC_DQBUF: return capture(file, buffer);
    case VIDIOC_STREAMON:
    case VIDIOC_STREAMOFF: return 0;
    default: return fail(ENOTTY);
    }
}

int ioctl(int file, unsigned long request, ...) {
    static int (*next)(int, unsigned long, ...);
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    request = (unsigned)request;
    if (_IOC_TYPE(request) == 'V' && is_device(file)) return answer(file, request, argument);
    if (!next) next = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    return next(file, request, argument);
}
