/* What both programs of the bench need: time, sockets, and the framing of HTTP/1.1 messages.
 *
 * Owns one incremental reader of messages (head, then a body by length or in chunks). Refuses to be
 * a general parser: it trusts its peers, which the bench starts itself.
 */
#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 16384

static inline int64_t now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

static inline void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static inline struct sockaddr_in place_of(const char *address, int port) {
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, address, &place.sin_addr) != 1) {
        fprintf(stderr, "%s is no IPv4 address\n", address);
        exit(2);
    }
    return place;
}

static inline void at_once(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static inline char *file_text(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    fseek(file, 0, SEEK_END);
    long length = ftell(file);
    rewind(file);
    char *text = malloc((size_t)length + 1);
    if (fread(text, 1, (size_t)length, file) != (size_t)length) die(path);
    text[length] = 0;
    fclose(file);
    *size = (size_t)length;
    return text;
}

/* ---- one message, as it comes ---- */

enum step { IN_HEAD, BY_LENGTH, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, UNTIL_CLOSE, WHOLE };

struct message {
    enum step step;
    char head[HEAD_MAX];
    size_t head_size;
    int64_t left;     /* bytes of the body, or of the chunk, still to come */
    int64_t body;     /* bytes of the body so far */
    size_t line;      /* length of the line being read: a trailer's end is an empty one */
    int status;       /* of an answer */
};

static inline void message_begin(struct message *m) {
    m->step = IN_HEAD;
    m->head_size = 0;
    m->left = m->body = 0;
    m->line = 0;
    m->status = 0;
}

/* The value of a header, or NULL. `name` is in lower case and ends with a colon. */
static inline const char *header_of(const struct message *m, const char *name) {
    size_t length = strlen(name);
    for (const char *line = strstr(m->head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, length)) {
            line += 2 + length;
            while (*line == ' ') line++;
            return line;
        }
    return NULL;
}

static inline void head_ended(struct message *m, int answer) {
    m->head[m->head_size] = 0;
    if (answer) m->status = atoi(m->head + 9);
    const char *coding = header_of(m, "transfer-encoding:");
    const char *length = header_of(m, "content-length:");
    if (answer && (m->status == 101 || m->status == 204 || m->status == 304)) m->step = WHOLE;
    else if (coding && !strncasecmp(coding, "chunked", 7)) m->step = CHUNK_SIZE;
    else if (length) m->step = (m->left = atoll(length)) ? BY_LENGTH : WHOLE;
    else m->step = answer ? UNTIL_CLOSE : WHOLE;
}

typedef void (*body_heard)(void *who, const char *bytes, size_t size);

/* Takes bytes until the message is whole; returns how many it took. -1: the head is too large. */
static inline ssize_t message_take(struct message *m, const char *bytes, size_t size, int answer,
                                   body_heard heard, void *who) {
    size_t at = 0;
    while (at < size && m->step != WHOLE) {
        if (m->step == IN_HEAD) {
            if (m->head_size + 1 >= HEAD_MAX) return -1;
            char letter = m->head[m->head_size++] = bytes[at++];
            if (letter == '\n' && m->head_size >= 4 &&
                !memcmp(m->head + m->head_size - 4, "\r\n\r\n", 4))
                head_ended(m, answer);
        } else if (m->step == BY_LENGTH || m->step == CHUNK_DATA || m->step == UNTIL_CLOSE) {
            size_t part = size - at;
            if (m->step != UNTIL_CLOSE && (int64_t)part > m->left) part = (size_t)m->left;
            if (heard) heard(who, bytes + at, part);
            at += part;
            m->body += (int64_t)part;
            m->left -= (int64_t)part;
            if (m->step == BY_LENGTH && !m->left) m->step = WHOLE;
            if (m->step == CHUNK_DATA && !m->left) m->step = CHUNK_END;
        } else if (m->step == CHUNK_SIZE) {
            char letter = bytes[at++];
            if (letter >= '0' && letter <= '9') m->left = m->left * 16 + letter - '0';
            else if ((letter | 32) >= 'a' && (letter | 32) <= 'f')
                m->left = m->left * 16 + (letter | 32) - 'a' + 10;
            else if (letter == '\n') {
                m->step = m->left ? CHUNK_DATA : TRAILER;
                m->line = 0;
            }
        } else if (m->step == CHUNK_END) {
            if (bytes[at++] == '\n') {
                m->step = CHUNK_SIZE;
                m->left = 0;
            }
        } else { /* TRAILER */
            char letter = bytes[at++];
            if (letter == '\n') {
                if (!m->line) m->step = WHOLE;
                m->line = 0;
            } else if (letter != '\r') m->line++;
        }
    }
    return (ssize_t)at;
}

#endif
