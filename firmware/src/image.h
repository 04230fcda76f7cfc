/**
 * @file image.h
 * @brief Whether code and constants in flash are those that were built.
 */
#ifndef LNN_IMAGE_H
#define LNN_IMAGE_H

#include <stdint.h>

/** @brief LNN_FLAG_IMAGE_*; 0 where the build has not sealed the image. */
uint32_t lnn_image_flags(void);

#endif
