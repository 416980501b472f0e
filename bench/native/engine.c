/* A fake engine that costs next to nothing: `engine ADDRESS PORT RATE`.
 *
 * Any POST is answered with one fixed chat answer. With `"stream":true` in its body it is answered
 * with server-sent events, RATE a second, as many as `max_tokens` says; each holds the moment it was
 * written as `@<monotonic nanoseconds>`. The body of a form is counted and the count is the answer.
 * A WebSocket gets its frames back. Any GET is answered with 200.
 */
#include "http.h"
#include "websocket.h"
#include <sys/timerfd.h>

#define CONNECTIONS 65536
#define WHEEL 4096 /* slots of a millisecond; the slowest rate is one in four seconds */
#define PEEK 65536 /* of a body, to look for `stream` in */

struct link {
    int fd;
    int answering, socket;
    struct message in;
    char peek[PEEK + 1];
    size_t peeked;
    char *out;
    size_t out_at, out_size, out_room;
    int waits; /* for room to write */
    /* a stream under way */
    int64_t left;
    int64_t due_us;
    struct link *next;
    struct link **before;
};

static int epoll;
static struct link *links[CONNECTIONS];
static struct link *wheel[WHEEL];
static int64_t period_us;
static char chat_answer[2048];
static size_t chat_size;

static const char EVENTS[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

static const char END[] = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

static void unwheel(struct link *link) {
    if (!link->before) return;
    *link->before = link->next;
    if (link->next) link->next->before = link->before;
    link->before = NULL;
}

static void enwheel(struct link *link) {
    struct link **slot = &wheel[link->due_us / 1000 % WHEEL];
    link->next = *slot;
    if (*slot) (*slot)->before = &link->next;
    link->before = slot;
    *slot = link;
}

static void hang_up(struct link *link) {
    unwheel(link);
    close(link->fd);
    links[link->fd] = NULL;
    free(link->out);
    free(link);
}

static void want(struct link *link, int writing) {
    if (link->waits == writing) return;
    struct epoll_event event = {EPOLLIN | (writing ? EPOLLOUT : 0), {.fd = link->fd}};
    epoll_ctl(epoll, EPOLL_CTL_MOD, link->fd, &event);
    link->waits = writing;
}

static int flushed(struct link *link) {
    while (link->out_at < link->out_size) {
        ssize_t sent = send(link->fd, link->out + link->out_at, link->out_size - link->out_at,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno != EAGAIN) return 0;
            want(link, 1);
            return 1;
        }
        link->out_at += (size_t)sent;
    }
    link->out_at = link->out_size = 0;
    want(link, 0);
    return 1;
}

static void put(struct link *link, const char *bytes, size_t size) {
    if (link->out_size + size > link->out_room) {
        link->out_room = (link->out_size + size) * 2;
        link->out = realloc(link->out, link->out_room);
    }
    memcpy(link->out + link->out_size, bytes, size);
    link->out_size += size;
}

static void put_json(struct link *link, const char *json) {
    char text[512];
    int size = snprintf(text, sizeof text,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        strlen(json), json);
    put(link, text, (size_t)size);
}

static void put_event(struct link *link) {
    char data[512], text[600];
    int size = snprintf(
        data, sizeof data,
        "data: {\"id\":\"chatcmpl-0d5f3a7c19e24b68\",\"object\":\"chat.completion.chunk\","
        "\"created\":1700000000,\"model\":\"bench-model\",\"choices\":[{\"index\":0,\"delta\":"
        "{\"content\":\"@%lld word\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n",
        (long long)now_ns());
    size = snprintf(text, sizeof text, "%x\r\n%s\r\n", (unsigned)size, data);
    put(link, text, (size_t)size);
}

static void tick(struct link *link, int64_t us) {
    unwheel(link);
    if (link->left-- > 0) {
        put_event(link);
        link->due_us += period_us;
        if (link->due_us <= us - 1000000) link->due_us = us + period_us; /* far behind: drop it */
        enwheel(link);
    } else {
        put(link, END, sizeof END - 1);
        link->answering = 0;
    }
    if (!flushed(link)) hang_up(link);
}

static void ticks(int64_t *from_ms) {
    int64_t us = now_ns() / 1000;
    for (; *from_ms <= us / 1000; ++*from_ms)
        for (struct link *link = wheel[*from_ms % WHEEL], *next; link; link = next) {
            next = link->next;
            if (link->due_us / 1000 <= *from_ms) tick(link, us);
        }
}

static void heard(void *who, const char *bytes, size_t size) {
    struct link *link = who;
    size_t room = PEEK - link->peeked;
    if (size > room) size = room;
    memcpy(link->peek + link->peeked, bytes, size);
    link->peeked += size;
}

static int64_t number_after(const char *text, const char *name, int64_t otherwise) {
    const char *found = strstr(text, name);
    return found ? atoll(found + strlen(name) + strspn(found + strlen(name), "\": ")) : otherwise;
}

static void begin_stream(struct link *link) {
    link->left = number_after(link->peek, "\"max_tokens\"", 16);
    /* Streams do not speak at the same instant: each begins somewhere within the period. */
    link->due_us = now_ns() / 1000 + 1000 + (int64_t)(random() % period_us);
    link->answering = 1;
    put(link, EVENTS, sizeof EVENTS - 1);
    enwheel(link);
}

static void answer(struct link *link) {
    struct message *in = &link->in;
    link->peek[link->peeked] = 0;
    const char *type = header_of(in, "content-type:");
    if (header_of(in, "sec-websocket-key:")) {
        char text[256];
        put(link, text, accept_socket(header_of(in, "sec-websocket-key:"), text, sizeof text));
        link->socket = 1;
    } else if (!strncmp(in->head, "GET ", 4)) {
        put_json(link, "{\"object\":\"list\",\"data\":[{\"id\":\"bench-model\",\"object\":\"model\"}]}");
    } else if (type && !strncasecmp(type, "multipart/", 10)) {
        char text[80];
        snprintf(text, sizeof text, "{\"text\":\"heard\",\"bytes\":%lld}", (long long)in->body);
        put_json(link, text);
    } else if (strstr(link->peek, "\"stream\":true") || strstr(link->peek, "\"stream\": true")) {
        begin_stream(link);
    } else {
        put(link, chat_answer, chat_size);
    }
    message_begin(in);
    link->peeked = 0;
}

static void echo(struct link *link, char *bytes, size_t size) {
    if (link->peeked + size > PEEK) { /* a frame larger than the bench sends */
        hang_up(link);
        return;
    }
    memcpy(link->peek + link->peeked, bytes, size);
    link->peeked += size;
    size_t used;
    struct frame frame;
    while ((used = frame_in(link->peek, link->peeked, &frame))) {
        char head[10];
        put(link, head, frame_head(head, frame.opcode, frame.size, 0));
        put(link, frame.data, frame.size);
        link->peeked -= used;
        memmove(link->peek, link->peek + used, link->peeked);
    }
    if (!flushed(link)) hang_up(link);
}

static void readable(struct link *link) {
    static char bytes[262144];
    ssize_t size = recv(link->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
        hang_up(link);
        return;
    }
    for (size_t at = 0; at < (size_t)size;) {
        if (link->socket) {
            echo(link, bytes + at, (size_t)size - at);
            return;
        }
        ssize_t took = message_take(&link->in, bytes + at, (size_t)size - at, 0, heard, link);
        if (took < 0) {
            hang_up(link);
            return;
        }
        at += (size_t)took;
        if (link->in.step == WHOLE) answer(link);
    }
    if (link->out_size && !flushed(link)) hang_up(link);
}

static void welcome(int server) {
    for (int fd; (fd = accept4(server, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        if (fd >= CONNECTIONS) {
            close(fd);
            continue;
        }
        at_once(fd);
        struct link *link = calloc(1, sizeof *link);
        link->fd = fd;
        message_begin(&link->in);
        links[fd] = link;
        struct epoll_event event = {EPOLLIN, {.fd = fd}};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static void prepare_answer(void) {
    const char *body =
        "{\"id\":\"chatcmpl-0d5f3a7c19e24b68\",\"object\":\"chat.completion\",\"created\":1700000000,"
        "\"model\":\"bench-model\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":\"The quick brown fox jumps over the lazy dog, looks around, and decides that "
        "one jump a day is quite enough for a fox of its age. The dog agrees.\",\"refusal\":null,"
        "\"tool_calls\":[],\"reasoning_content\":null},\"logprobs\":null,\"finish_reason\":\"stop\","
        "\"stop_reason\":null}],\"service_tier\":null,\"system_fingerprint\":null,\"usage\":"
        "{\"prompt_tokens\":17,\"total_tokens\":53,\"completion_tokens\":36,"
        "\"prompt_tokens_details\":null},\"prompt_logprobs\":null,\"kv_transfer_params\":null}";
    chat_size = (size_t)snprintf(chat_answer, sizeof chat_answer,
                                 "HTTP/1.1 200 OK\r\nServer: engine\r\n"
                                 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                                 strlen(body), body);
}

int main(int count, char **words) {
    if (count != 4) {
        fprintf(stderr, "usage: engine ADDRESS PORT RATE\n");
        return 2;
    }
    period_us = (int64_t)(1e6 / atof(words[3]));
    prepare_answer();
    int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in place = place_of(words[1], atoi(words[2]));
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(server, (struct sockaddr *)&place, sizeof place) || listen(server, 4096)) die("listen");
    epoll = epoll_create1(0);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec every = {{0, 1000000}, {0, 1000000}};
    timerfd_settime(timer, 0, &every, NULL);
    struct epoll_event event = {EPOLLIN, {.fd = server}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, server, &event);
    event.data.fd = timer;
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
    int64_t ms = now_ns() / 1000000;
    for (;;) {
        struct epoll_event events[512];
        int ready = epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == server) welcome(server);
            else if (fd == timer) {
                uint64_t times;
                if (read(timer, &times, sizeof times) > 0) ticks(&ms);
            } else if (links[fd]) {
                if (events[i].events & EPOLLOUT && !flushed(links[fd])) hang_up(links[fd]);
                if (links[fd] && events[i].events & ~(uint32_t)EPOLLOUT) readable(links[fd]);
            }
        }
    }
}
