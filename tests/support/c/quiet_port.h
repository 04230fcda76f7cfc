/* A port of which nothing comes but what a program writes itself: it defines lnn_port_write. */
#ifndef QUIET_PORT_H
#define QUIET_PORT_H

#include "lnn_port.h"

void lnn_port_flush(void)
{
}

uint32_t lnn_port_cycles(void)
{
    return 0U;
}

void lnn_port_get_facts(lnn_port_facts_t *facts)
{
    *facts = (lnn_port_facts_t) {.board_name = "fuzz"};
}

void lnn_port_get_counters(lnn_port_counters_t *counters)
{
    *counters = (lnn_port_counters_t) {0};
}

bool lnn_port_can_baud(const uint32_t baud)
{
    return (baud % 2U) == 0U;
}

void lnn_port_try_baud(const uint32_t baud)
{
    (void) baud;
}

void lnn_port_begin_request(void)
{
}

#endif
