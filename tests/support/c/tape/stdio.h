/* What replay.c needs of <stdio.h> on a core without files: it reads and writes the tape that run() is given. */
#ifndef TAPE_STDIO_H
#define TAPE_STDIO_H

#include <stddef.h>
#include <stdint.h>

#define EOF (-1)
#define stdin 0
#define stdout 1

static const uint8_t *tape_in;
static const uint8_t *tape_end;
static uint8_t       *tape_out;

static int getchar(void)
{
    return (tape_in == tape_end) ? EOF : *tape_in++;
}

static int putchar(const int byte)
{
    *tape_out++ = (uint8_t) byte;
    return byte;
}

static size_t fread(void *to, const size_t size, const size_t count, const int file)
{
    uint8_t *const bytes = (uint8_t *) to;
    (void) file;
    for (size_t i = 0; i < size * count; i++)
    {
        bytes[i] = *tape_in++;
    }
    return count;
}

static size_t fwrite(const void *from, const size_t size, const size_t count, const int file)
{
    const uint8_t *const bytes = (const uint8_t *) from;
    (void) file;
    for (size_t i = 0; i < size * count; i++)
    {
        (void) putchar(bytes[i]);
    }
    return count;
}

#define main replay
static int replay(void);

/* in: u32 bytes, items as replay.c takes them; out: what it prints. */
void run(const uint8_t *in, uint8_t *out);
void run(const uint8_t *in, uint8_t *out)
{
    const uint32_t size = in[0] | ((uint32_t) in[1] << 8) | ((uint32_t) in[2] << 16) | ((uint32_t) in[3] << 24);
    tape_in             = &in[4];
    tape_end            = &in[4U + size];
    tape_out            = out;
    (void) replay();
}

#endif
