#include "image.h"

#include "lnn_port.h"
#include "lnn_state.h"
#include "startup.h"

#define NOT_SEALED 0xFFFFFFFFUL

/* CRC-32 of all that lies before it in flash; the build puts it in, last of all. */
static const volatile uint32_t seal __attribute__((section(".seal"), used)) = NOT_SEALED;

uint32_t lnn_image_flags(void)
{
    const uint8_t *const start = (const uint8_t *) _image_start;
    if (seal == NOT_SEALED)
    {
        return 0U;
    }
    return (lnn_crc32(0U, start, (uint32_t) ((const uint8_t *) _image_end - start)) == seal)
               ? LNN_FLAG_IMAGE_GOOD
               : LNN_FLAG_IMAGE_DAMAGED;
}
