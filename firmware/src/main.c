/* The board's program: bytes from the host into the protocol, sleep in between. */
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
        uint8_t byte;
        if (lnn_uart_take(&byte))
        {
            lnn_protocol_receive(&protocol, byte);
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
