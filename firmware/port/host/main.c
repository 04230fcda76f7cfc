/**
 * The firmware's protocol and the model as a program on the host, for one client at a time over TCP.
 *
 * Usage: host [PORT]    PORT 0 (default) takes any free one. First line: socket://127.0.0.1:PORT
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "lnn_port.h"
#include "lnn_protocol.h"

/* The port's state: the interface of lnn_port.h has no context argument because a board has one UART. */
static struct
{
    int      client;
    uint32_t baud;
    uint32_t rx_bytes;
    uint32_t out_count;
    uint8_t  out[2048];
} port = {.client = -1, .baud = 115200};

static void fail(const char *what)
{
    (void) fprintf(stderr, "host board: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* A client that has gone is noticed by the next read. */
void lnn_port_flush(void)
{
    uint32_t sent = 0;
    while (sent < port.out_count)
    {
        const ssize_t count = send(port.client, &port.out[sent], port.out_count - sent, MSG_NOSIGNAL);
        if (count <= 0)
        {
            break;
        }
        sent += (uint32_t) count;
    }
    port.out_count = 0;
}

void lnn_port_write(const uint8_t *bytes, const uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
    {
        if (port.out_count == sizeof port.out)
        {
            lnn_port_flush();
        }
        port.out[port.out_count] = bytes[i];
        port.out_count++;
    }
}

uint32_t lnn_port_cycles(void)
{
    return 0U;
}

void lnn_port_get_facts(lnn_port_facts_t *facts)
{
    *facts = (lnn_port_facts_t) {.baud = port.baud, .board_name = "host"};
}

void lnn_port_get_counters(lnn_port_counters_t *counters)
{
    *counters = (lnn_port_counters_t) {.rx_bytes = port.rx_bytes};
}

bool lnn_port_can_baud(const uint32_t baud)
{
    return baud > 0U;
}

/* A socket has no rate: it is only remembered, and never wrong. */
void lnn_port_try_baud(const uint32_t baud)
{
    port.baud = baud;
}

void lnn_port_begin_request(void)
{
}

static int listen_on(const uint16_t number)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(number)};
    socklen_t          size    = sizeof address;
    const int          on      = 1;
    const int          server  = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr    = htonl(INADDR_LOOPBACK);
    if (server < 0)
    {
        fail("socket");
    }
    (void) setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if ((bind(server, (const struct sockaddr *) &address, size) != 0) || (listen(server, 1) != 0))
    {
        fail("cannot listen");
    }
    if (getsockname(server, (struct sockaddr *) &address, &size) != 0)
    {
        fail("getsockname");
    }
    (void) printf("socket://127.0.0.1:%u\n", (unsigned) ntohs(address.sin_port));
    (void) fflush(stdout);
    return server;
}

static void serve(lnn_protocol_t *protocol)
{
    uint8_t bytes[4096];
    for (;;)
    {
        const ssize_t count = recv(port.client, bytes, sizeof bytes, 0);
        if (count <= 0)
        {
            return;
        }
        port.rx_bytes += (uint32_t) count;
        for (uint32_t at = 0; at < (uint32_t) count;)
        {
            at += lnn_protocol_receive(protocol, &bytes[at], (uint32_t) count - at);
            lnn_protocol_answer(protocol);
        }
    }
}

static void die_with_parent(void)
{
#ifdef __linux__
    const pid_t parent = getppid();
    (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
    {
        exit(0);
    }
#endif
}

static uint16_t parse_port(const char *text)
{
    char      *end    = NULL;
    const long number = strtol(text, &end, 10);
    if ((*text == '\0') || (*end != '\0') || (number < 0) || (number > 65535))
    {
        (void) fprintf(stderr, "host board: port %s is not a number from 0 to 65535\n", text);
        exit(2);
    }
    return (uint16_t) number;
}

int main(int argc, char **argv)
{
    static lnn_model_ctx_t model;
    static lnn_protocol_t  protocol;
    const int              on     = 1;
    const int              server = listen_on((argc > 1) ? parse_port(argv[1]) : 0U);
    die_with_parent();
    lnn_protocol_start(&protocol, &model);
    for (;;)
    {
        port.client = accept(server, NULL, NULL);
        if (port.client < 0)
        {
            fail("accept");
        }
        (void) setsockopt(port.client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        serve(&protocol);
        (void) close(port.client);
    }
}
