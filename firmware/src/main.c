/* The board's program: bytes from the host into the protocol, sleep in between. */
#include <stddef.h>

#include "idle.h"
#include "lnn_protocol.h"
#include "port.h"
#include "startup.h"
#include "uart.h"

int main(void)
{
    static lnn_model_ctx_t model;
    static lnn_protocol_t  protocol;
    lnn_port_start();
    lnn_protocol_start(&protocol, &model);
    for (;;)
    {
        const volatile uint8_t *bytes = NULL;
        const uint32_t          count = lnn_uart_unread(&bytes);
        if (count > 0U)
        {
            /* Given back before the answer, which may take long: the host may send on. */
            lnn_uart_drop(lnn_protocol_receive(&protocol, bytes, count));
            lnn_protocol_answer(&protocol);
        }
        else
        {
            lnn_idle_sleep();
        }
        if (lnn_idle_has_ticked())
        {
            lnn_port_tick();
        }
    }
}
