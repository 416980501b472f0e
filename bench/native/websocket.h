/* Just enough of RFC 6455 for an echo: the handshake's answer, and frames in and out. */
#ifndef BENCH_WEBSOCKET_H
#define BENCH_WEBSOCKET_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static inline uint32_t turned(uint32_t word, int by) { return word << by | word >> (32 - by); }

/* SHA-1 of at most 119 bytes, which a handshake's key never exceeds. */
static inline void sha1(const unsigned char *text, size_t size, unsigned char digest[20]) {
    unsigned char block[128] = {0};
    memcpy(block, text, size);
    block[size] = 0x80;
    size_t blocks = size < 56 ? 1 : 2;
    for (int i = 0; i < 8; i++)
        block[blocks * 64 - 1 - (size_t)i] = (unsigned char)((uint64_t)size * 8 >> (8 * i));
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    for (size_t b = 0; b < blocks; b++) {
        uint32_t w[80];
        for (int i = 0; i < 16; i++) {
            const unsigned char *p = block + b * 64 + i * 4;
            w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        }
        for (int i = 16; i < 80; i++) w[i] = turned(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        uint32_t a = h[0], c = h[1], d = h[2], e = h[3], f = h[4];
        for (int i = 0; i < 80; i++) {
            uint32_t mix, add;
            if (i < 20) mix = (c & d) | (~c & e), add = 0x5A827999;
            else if (i < 40) mix = c ^ d ^ e, add = 0x6ED9EBA1;
            else if (i < 60) mix = (c & d) | (c & e) | (d & e), add = 0x8F1BBCDC;
            else mix = c ^ d ^ e, add = 0xCA62C1D6;
            uint32_t next = turned(a, 5) + mix + f + add + w[i];
            f = e, e = d, d = turned(c, 30), c = a, a = next;
        }
        h[0] += a, h[1] += c, h[2] += d, h[3] += e, h[4] += f;
    }
    for (int i = 0; i < 20; i++) digest[i] = (unsigned char)(h[i / 4] >> (24 - i % 4 * 8));
}

/* The answer to a handshake whose key begins at `key` (24 characters); its length. */
static inline size_t accept_socket(const char *key, char *text, size_t room) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char joined[61], d[21] = {0};
    memcpy(joined, key, 24);
    memcpy(joined + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    sha1(joined, 60, d);
    char shown[29] = {0};
    for (int i = 0; i < 7; i++) {
        uint32_t three = (uint32_t)d[i * 3] << 16 | (uint32_t)d[i * 3 + 1] << 8 | d[i * 3 + 2];
        for (int j = 0; j < 4; j++) shown[i * 4 + j] = letters[three >> (18 - j * 6) & 63];
    }
    shown[27] = '=';
    return (size_t)snprintf(text, room,
                            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                            shown);
}

struct frame {
    int opcode;
    char *data;
    size_t size;
};

/* The frame at the beginning of `bytes`, unmasked in place; its whole length, 0 when it is cut. */
static inline size_t frame_in(char *bytes, size_t have, struct frame *frame) {
    unsigned char *p = (unsigned char *)bytes;
    if (have < 2) return 0;
    size_t size = p[1] & 127, head = 2;
    if (size == 126) {
        if (have < 4) return 0;
        size = (size_t)p[2] << 8 | p[3], head = 4;
    } else if (size == 127) {
        if (have < 10) return 0;
        size = (size_t)p[6] << 24 | (size_t)p[7] << 16 | (size_t)p[8] << 8 | p[9], head = 10;
    }
    int masked = p[1] & 128;
    size_t whole = head + (masked ? 4 : 0) + size;
    if (have < whole) return 0;
    frame->opcode = p[0] & 15;
    frame->data = bytes + head + (masked ? 4 : 0);
    frame->size = size;
    if (masked)
        for (size_t i = 0; i < size; i++) frame->data[i] ^= (char)p[head + i % 4];
    return whole;
}

/* Writes a frame's head (at most 10 bytes, 14 with a mask of zeros); its length. */
static inline size_t frame_head(char *head, int opcode, size_t size, int masked) {
    size_t length = 2;
    head[0] = (char)(128 | opcode);
    if (size < 126) head[1] = (char)size;
    else {
        head[1] = 126; /* the bench sends nothing above 64 KiB */
        head[2] = (char)(size >> 8), head[3] = (char)size;
        length = 4;
    }
    if (masked) {
        head[1] = (char)(head[1] | 128);
        memset(head + length, 0, 4);
        length += 4;
    }
    return length;
}

#endif
