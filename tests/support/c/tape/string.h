/* What a bare core has of <string.h>. */
#ifndef TAPE_STRING_H
#define TAPE_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);

#endif
