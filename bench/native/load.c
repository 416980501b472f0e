/* Asks for what is measured and says what came, as one line of JSON.
 *
 *   load ask    ADDRESS PORT REQUEST IN_FLIGHT SECONDS   closed loop of one request
 *   load stream ADDRESS PORT REQUEST STREAMS RAMP SECONDS PERIOD_MS
 *   load upload ADDRESS PORT HEAD FILLER_BYTES TAIL CHUNKED
 *   load socket ADDRESS PORT HANDSHAKE SOCKETS SECONDS FRAME_BYTES
 *
 * REQUEST, HEAD, TAIL and HANDSHAKE are files with the bytes to send. A stream's chunks hold
 * `@<monotonic nanoseconds>` of when they were written, on the same machine; a chunk is on time when
 * it is here within PERIOD_MS. Counted are the chunks written in SECONDS after the ramp.
 */
#include "http.h"
#include "websocket.h"

#define SETTLE_NS 300000000LL
#define LATE_NS 1000000000LL /* waited after the window, for chunks that are late */

struct link {
    int fd;
    struct message in;
    int64_t began;
    /* of a stream */
    int in_stamp;
    int64_t stamp;
    /* of a socket */
    char frames[131072];
    size_t have;
};

static int epoll;
static struct sockaddr_in place;
static char *request;
static size_t request_size;
static struct link *links;
static int64_t window_from, window_to, period_ns;
static int64_t answers, errors, bytes_in, chunks, on_time, late;
static int first_bad;
static uint32_t *figures; /* nanoseconds, at most four seconds */
static size_t figure_count, figure_room;

static void keep(int64_t ns) {
    if (figure_count == figure_room) {
        figure_room = figure_room ? figure_room * 2 : 1 << 16;
        figures = realloc(figures, figure_room * sizeof *figures);
    }
    figures[figure_count++] = ns < 0 ? 0 : ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double quantile(double share) {
    if (!figure_count) return 0;
    size_t at = (size_t)(share * (double)figure_count);
    return figures[at < figure_count ? at : figure_count - 1] / 1e3;
}

static void say(double seconds, const char *more) {
    qsort(figures, figure_count, sizeof *figures, by_size);
    printf("{\"answers\": %lld, \"errors\": %lld, \"first_bad_status\": %d, \"seconds\": %.4f, "
           "\"bytes\": %lld, \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, "
           "\"max_us\": %.1f%s}\n",
           (long long)answers, (long long)errors, first_bad, seconds, (long long)bytes_in,
           quantile(.5), quantile(.9), quantile(.99), quantile(1), more);
}

static int connected(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) die("socket");
    if (connect(fd, (struct sockaddr *)&place, sizeof place)) die("connect");
    at_once(fd);
    return fd;
}

static void write_all(int fd, const char *bytes, size_t size) {
    while (size) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0) die("send");
        bytes += sent;
        size -= (size_t)sent;
    }
}

static void begin(struct link *link) {
    message_begin(&link->in);
    link->began = now_ns();
    write_all(link->fd, request, request_size);
}

static void join(struct link *link) {
    link->fd = connected();
    struct epoll_event event = {EPOLLIN, {.ptr = link}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, link->fd, &event);
    begin(link);
}

/* Digits after an `@`: when the chunk was written. */
static void stamped(void *who, const char *bytes, size_t size) {
    struct link *link = who;
    const char *at = bytes, *end = bytes + size;
    while (at < end) {
        if (!link->in_stamp) {
            at = memchr(at, '@', (size_t)(end - at));
            if (!at) return;
            at++;
            link->in_stamp = 1;
            link->stamp = 0;
        } else if (*at >= '0' && *at <= '9') {
            link->stamp = link->stamp * 10 + *at++ - '0';
        } else {
            link->in_stamp = 0;
            chunks++;
            if (link->stamp < window_from || link->stamp >= window_to) continue;
            int64_t lag = now_ns() - link->stamp;
            if (lag < period_ns) on_time++;
            else late++;
            keep(lag);
        }
    }
}

static void ended(struct link *link, int again) {
    int64_t now = now_ns();
    int good = link->in.step == WHOLE && link->in.status == 200;
    if (!good && !first_bad) first_bad = link->in.status ? link->in.status : -1;
    if (now < window_to) {
        if (good) answers++, keep(now - link->began);
        else errors++;
    }
    const char *keeps = link->in.step == WHOLE ? header_of(&link->in, "connection:") : "close";
    if (keeps && !strncasecmp(keeps, "close", 5)) {
        close(link->fd);
        if (again && now < window_to) join(link);
        return;
    }
    if (again && now < window_to) begin(link);
}

static void readable(struct link *link, int again, body_heard heard) {
    static char bytes[262144];
    ssize_t size = recv(link->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
        if (link->in.step == UNTIL_CLOSE) link->in.step = WHOLE;
        ended(link, again);
        return;
    }
    bytes_in += size;
    message_take(&link->in, bytes, (size_t)size, 1, heard, link);
    if (link->in.step == WHOLE) ended(link, again);
}

static void ask(int in_flight, double seconds) {
    int64_t from = now_ns();
    window_to = from + (int64_t)(seconds * 1e9);
    for (int i = 0; i < in_flight; i++) join(&links[i]);
    while (now_ns() < window_to) {
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, 20);
        for (int i = 0; i < ready; i++) readable(events[i].data.ptr, 1, NULL);
    }
    say((double)(now_ns() - from) / 1e9, "");
}

static void stream(int streams, double ramp, double seconds, double period_ms) {
    int64_t from = now_ns(), opened = 0;
    window_from = from + (int64_t)(ramp * 1e9) + SETTLE_NS;
    window_to = window_from + (int64_t)(seconds * 1e9);
    period_ns = (int64_t)(period_ms * 1e6);
    for (int64_t now; (now = now_ns()) < window_to + LATE_NS;) {
        int64_t due = now >= from + (int64_t)(ramp * 1e9)
                          ? streams
                          : (int64_t)((double)streams * (double)(now - from) / (ramp * 1e9));
        for (; opened < due; opened++) join(&links[opened]);
        struct epoll_event events[512];
        int ready = epoll_wait(epoll, events, 512, opened < streams ? 1 : 20);
        for (int i = 0; i < ready; i++) readable(events[i].data.ptr, 0, stamped);
    }
    int open = 0;
    for (int i = 0; i < streams; i++) open += links[i].in.status == 200;
    double offered = streams * seconds * 1e3 / period_ms;
    char more[256];
    snprintf(more, sizeof more,
             ", \"streams\": %d, \"open\": %d, \"chunks\": %lld, \"offered\": %.0f, "
             "\"on_time\": %lld, \"late\": %lld",
             streams, open, (long long)chunks, offered, (long long)on_time, (long long)late);
    say((double)(now_ns() - from) / 1e9, more);
}

static void upload(int64_t filler, const char *tail, size_t tail_size, int chunked) {
    enum { PIECE = 262144 };
    static char piece[PIECE], frame[32];
    for (int i = 0; i < PIECE; i++) piece[i] = (char)(i * 7 + i / 251);
    struct link *link = &links[0];
    link->fd = connected();
    int64_t from = now_ns();
    window_to = INT64_MAX;
    begin(link);
    for (int64_t left = filler; left > 0;) {
        size_t part = left < PIECE ? (size_t)left : PIECE;
        if (chunked) write_all(link->fd, frame, (size_t)sprintf(frame, "%zx\r\n", part));
        write_all(link->fd, piece, part);
        if (chunked) write_all(link->fd, "\r\n", 2);
        left -= (int64_t)part;
    }
    if (chunked) write_all(link->fd, frame, (size_t)sprintf(frame, "%zx\r\n", tail_size));
    write_all(link->fd, tail, tail_size);
    if (chunked) write_all(link->fd, "\r\n0\r\n\r\n", 7);
    char bytes[65536], shown[512] = "";
    for (ssize_t size; link->in.step != WHOLE && (size = recv(link->fd, bytes, 65535, 0)) > 0;) {
        bytes_in += size;
        message_take(&link->in, bytes, (size_t)size, 1, NULL, NULL);
        bytes[size] = 0;
        char *count = strstr(bytes, "\"bytes\":");
        if (count) snprintf(shown, sizeof shown, ", \"heard\": %lld", atoll(count + 8));
    }
    ended(link, 0);
    say((double)(now_ns() - from) / 1e9, shown);
}

static void say_frame(struct link *link, size_t size) {
    static char text[66000];
    size_t head = frame_head(text, 2, size, 1);
    link->began = now_ns();
    write_all(link->fd, text, head + size);
}

static void framed(struct link *link, size_t size) {
    ssize_t got = recv(link->fd, link->frames + link->have, sizeof link->frames - link->have,
                       MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        errors++;
        close(link->fd);
        return;
    }
    link->have += (size_t)got;
    bytes_in += got;
    if (link->in.step != WHOLE) {
        ssize_t took = message_take(&link->in, link->frames, link->have, 1, NULL, NULL);
        link->have -= (size_t)took;
        memmove(link->frames, link->frames + took, link->have);
        if (link->in.step != WHOLE) return;
        if (link->in.status != 101) {
            first_bad = link->in.status;
            errors++;
            close(link->fd);
            return;
        }
        say_frame(link, size);
    }
    struct frame frame;
    for (size_t used; (used = frame_in(link->frames, link->have, &frame));) {
        int data = frame.opcode <= 2;
        link->have -= used;
        memmove(link->frames, link->frames + used, link->have);
        if (!data) continue;
        answers++;
        keep(now_ns() - link->began);
        say_frame(link, size);
    }
}

static void sockets(int count, double seconds, size_t size) {
    int64_t from = now_ns();
    window_to = from + (int64_t)(seconds * 1e9);
    for (int i = 0; i < count; i++) join(&links[i]);
    while (now_ns() < window_to) {
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, 20);
        for (int i = 0; i < ready; i++) framed(events[i].data.ptr, size);
    }
    say((double)(now_ns() - from) / 1e9, "");
}

int main(int count, char **words) {
    if (count < 7) {
        fprintf(stderr, "usage: load ask|stream|upload|socket ADDRESS PORT FILE … (see load.c)\n");
        return 2;
    }
    const char *mode = words[1];
    place = place_of(words[2], atoi(words[3]));
    request = file_text(words[4], &request_size);
    epoll = epoll_create1(0);
    int wide = strcmp(mode, "upload") ? atoi(words[5]) : 1;
    links = calloc((size_t)wide, sizeof *links);
    if (!strcmp(mode, "ask")) ask(wide, atof(words[6]));
    else if (!strcmp(mode, "stream") && count == 9)
        stream(wide, atof(words[6]), atof(words[7]), atof(words[8]));
    else if (!strcmp(mode, "upload") && count == 8) {
        size_t size;
        char *tail = file_text(words[6], &size);
        upload(atoll(words[5]), tail, size, atoi(words[7]));
    } else if (!strcmp(mode, "socket") && count == 8)
        sockets(wide, atof(words[6]), (size_t)atoi(words[7]));
    else {
        fprintf(stderr, "load: what is %s with %d words?\n", mode, count);
        return 2;
    }
    return 0;
}
