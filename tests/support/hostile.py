"""Requests and WebSocket frames of hostile clients: a fixed corpus, and strategies of Hypothesis for more."""

import gzip
import struct
import zlib

from hypothesis import strategies as st

FORM = b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data; boundary=x"


def post(body: bytes = b"choice=1", path: bytes = b"/poll/1/vote", kind: bytes = FORM, *headers: bytes) -> bytes:
    """Return a POST request. Headers given replace Content-Length if they begin so."""
    length = b"" if any(header.startswith((b"Content-Length", b"Transfer")) for header in headers) else None
    lines = [
        b"POST %s HTTP/1.1" % path,
        b"Host: polls",
        b"Content-Type: " + kind,
        *([b"Content-Length: %d" % len(body)] if length is None else []),
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def part(headers: bytes, content: bytes = b"1", end: bytes = b"--x--\r\n") -> bytes:
    """Return a multipart body of one part."""
    return b"--x\r\n" + headers + b"\r\n\r\n" + content + b"\r\n" + end


_NAMED = b'Content-Disposition: form-data; name="choice"'

VALUES = (
    *(b"", b"0", b"-1", b"+1", b"1.0", b"1e0", b"0x1", b"01", b"1_0", b"%201", b"1%20", b"1%0A", b"1%00", b"%EF%BC%91"),
    *(b"%D9%A1", b"%FF", b"%ED%A0%80", b"%", b"%zz", b"2147483648", b"9223372036854775808", b"9" * 5000, b"null"),
    *(b"true", b"[1]", b"%7B%7D", b"1%27--", b"1%3B2", b"1,2", b"%E2%80%AE1", b"NaN", b"Infinity", b"%00" * 500),
)

BODIES = (
    *(
        b"",
        b"&",
        b"=",
        b"&&==&&",
        b"choice",
        b"choice=1&choice=2",
        b"choice%5B%5D=1",
        b"Choice=1",
        b"choice=1;choice=2",
    ),
    *(b"a=1&" * 999, b"a&" * 30_000, b"=" * 60_000, b"%" * 60_000, b"\0" * 1000, b"\xff" * 1000, b"a" * 200_000),
    *(b'{"choice": 1}', b"[" * 10_000, b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"),
)

KINDS = (
    *(b"", b"/", b"text/plain", b"application/json", b"multipart/mixed; boundary=x", b"multipart/form-data"),
    *(
        b"multipart/form-data; boundary=",
        b"multipart/form-data; boundary=" + b"x" * 71,
        b'multipart/form-data; boundary="',
    ),
    *(
        FORM + b"; charset=" + name
        for name in (b"utf-7", b"utf-16", b"idna", b"zip_codec", b"nothing", b'"', b"utf-8\0")
    ),
)

PARTS = (
    *(b"", b"--", b"--x", b"--x--", b"--x\r\n", b"\r\n" * 30_000, b"--y\r\n\r\n1\r\n--y--", b"--x\r\n" * 5000),
    *(part(_NAMED), part(b""), part(_NAMED, end=b""), part(_NAMED + b'; filename="a"'), part(_NAMED * 2)),
    *(part(_NAMED + b"\r\nContent-Type: text/plain; charset=" + name) for name in (b"utf-16", b"idna", b"zip_codec")),
    *(
        part(_NAMED + b"\r\nContent-Transfer-Encoding: " + name, b"MQ")
        for name in (b"base64", b"binary", b"8bit", b"x")
    ),
    part(_NAMED + b"\r\nContent-Encoding: gzip", gzip.compress(bytes(1_000_000))),
    part(b"Content-Type: multipart/mixed; boundary=y", b"--y\r\n\r\n1\r\n--y--"),
    part(_NAMED + b"\r\nX: " + b"a" * 20_000),
    part(_NAMED + b"\r\nX: a" * 1000),
    part(_NAMED.replace(b"choice", b"\xff\xfe\0")),
    b"".join(part(_NAMED, end=b"") for _ in range(1200)) + b"--x--",
)

HEADERS = (
    *(b"Content-Length: -1", b"Content-Length: +8", b"Content-Length: 8, 8", b"Content-Length: 8\r\nContent-Length: 9"),
    *(b"Content-Length: 99999999999999999999", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked"),
    *(b"Transfer-Encoding: chunked\r\nContent-Length: 8", b"Transfer-Encoding: xchunked", b"Content-Length : 8"),
    *(b"Content-Encoding: gzip", b"Content-Encoding: br", b"Content-Encoding: deflate", b"Content-Encoding: nothing"),
    *(b"Expect: 100-continue", b"Expect: 200-ok", b"Upgrade: h2c", b"Connection: close, upgrade\r\nUpgrade: websocket"),
    *(
        b"Cookie: polls_voter=" + value
        for value in (b"", b"x" * 32, b"'", b"\xff", b"a=b;" * 1000, b"0" * 31 + b"; polls_voter=1")
    ),
    *(b"Accept-Language: " + value for value in (b"*" * 500, b"en;q=9e999", b"a-" * 3000, b",;,;q", b"\xe4\xb8\xad")),
    *(b"Accept: " + value for value in (b"*/*;q=-1", b"a/b," * 1000, b'text/html;q="', b"application/json;q=nan")),
    *(
        b"Origin: null",
        b"Origin: http://polls:99999",
        b"Origin: http://[",
        b"Sec-Fetch-Site: cross-site",
        b"Host: other",
    ),
    *(
        b"X-Forwarded-For: " + b"1," * 4000,
        b"X-Request-ID: " + b"\xff" * 100,
        b"A: b\r\n c",
        b"A\0: b",
        b": a",
        b"A" * 9000,
    ),
)

LINES = (
    *(b"\r\n\r\n", b"\0\0\0\0\r\n\r\n", b"POST\r\n\r\n", b"POST /poll/1/vote\r\n\r\n", b"POST  / HTTP/1.1\r\n\r\n"),
    *(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
    ),
    *(
        b"%s %s HTTP/1.1\r\nHost: polls\r\n\r\n" % line
        for line in ((b"CONNECT", b"polls:1"), (b"POST", b"*"), (b"\xff", b"/"))
    ),
    *(
        b"POST %s HTTP/1.1\r\nHost: polls\r\nContent-Length: 0\r\n\r\n" % path
        for path in (b"//", b"http://[/", b"/%", b"/" + b"../" * 99)
    ),
)

PATHS = (
    *(
        b"/poll/1/vote",
        b"/poll/0/vote",
        b"/poll/999999999/vote",
        b"/poll/%D9%A1/vote",
        b"/poll/1/vote/",
        b"/poll/1//vote",
    ),
    *(b"/poll/1", b"/poll/1/results?after=x", b"/poll/1/live", b"/poll/1/present", b"/", b"/?page=-1", b"/nowhere"),
    *(b"/language/zh-Hans", b"/language/%00", b"/admin/logout", b"/admin/polls/add", b"/admin/polls/selected"),
    *(b"/admin/login?next=//evil", b"/static/css/public.css", b"/static/%2e%2e/x", b"/healthz", b"/poll/%00/vote"),
)


def corpus() -> list[bytes]:
    """Return complete requests: the server needs nothing more to answer, or closes the connection."""
    line_ends = gzip.compress(b"\r\n" * 4_000_000)  # 7.8 kB, before the first boundary
    fields = gzip.compress(b"a=1&" * 1_000_000)
    return [
        *(post(b"choice=" + value) for value in VALUES),
        *(post(body) for body in BODIES),
        *(post(body=b"choice=1", kind=kind) for kind in KINDS),
        *(post(body, kind=MULTIPART) for body in PARTS),
        *(post(b"choice=1", b"/poll/1/vote", FORM, header) for header in HEADERS),
        *(post(b"choice=1", path) for path in PATHS),
        *LINES,
        *(post(line_ends, path, MULTIPART, b"Content-Encoding: gzip") for path in (b"/poll/1/vote", b"/healthz")),
        *(post(fields, path, FORM, b"Content-Encoding: gzip") for path in (b"/poll/1/vote", b"/nowhere")),
        post(zlib.compress(b"choice=1"), b"/poll/1/vote", FORM, b"Content-Encoding: deflate"),
        post(b"8\r\nchoice=1\r\n0\r\n\r\n", b"/poll/1/vote", FORM, b"Transfer-Encoding: chunked"),
        post(b"FFFFFFFFFFFFFFFFF\r\n", b"/poll/1/vote", FORM, b"Transfer-Encoding: chunked"),
        post(b"-1\r\n\r\n", b"/poll/1/vote", FORM, b"Transfer-Encoding: chunked"),
        post(b"0\r\n" + b"X: a\r\n" * 500 + b"\r\n", b"/poll/1/vote", FORM, b"Transfer-Encoding: chunked"),
    ]


_fragments = st.one_of(
    st.sampled_from(VALUES + BODIES[:12] + PARTS[:18]),
    st.binary(max_size=200),
    st.text(max_size=50).map(lambda text: text.encode(errors="replace")),
)

_headers = st.one_of(
    st.sampled_from(HEADERS),
    st.tuples(
        st.sampled_from([b"Cookie", b"Accept", b"Accept-Language", b"Origin", b"X"]), st.binary(max_size=100)
    ).map(b": ".join),
)

# A mixture of the corpus and of random bytes. A body may be shorter or longer than its Content-Length.
requests = st.builds(
    lambda fragments, path, kind, headers: post(b"choice=1&".join(fragments), path, kind, *headers),
    st.lists(_fragments, max_size=4),
    st.sampled_from(PATHS),
    st.one_of(st.sampled_from((FORM, FORM, MULTIPART, *KINDS)), st.binary(max_size=40)),
    st.lists(_headers, max_size=3),
)


def frame(opcode: int, payload: bytes = b"", *, first: int = 0x80, mask: int = 0x80, size: int | None = None) -> bytes:
    """Return a WebSocket frame (RFC 6455) with a mask of zeros; `first` are the bits before the opcode."""
    size = len(payload) if size is None else size
    if size < 126:
        length = bytes([mask | size])
    else:
        length = (
            bytes([mask | 126]) + struct.pack(">H", size)
            if size < 1 << 16
            else bytes([mask | 127]) + struct.pack(">Q", size)
        )
    return bytes([first | opcode]) + length + (bytes(4) if mask else b"") + payload


_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10

# {what is wrong: (frames, the code with which the server must close)}
FRAMES = {
    **{f"opcode {opcode}": (frame(opcode), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    **{f"reserved bit {bit}": (frame(_TEXT, b"a", first=0x80 | bit), 1002) for bit in (0x40, 0x20, 0x10)},
    **{f"fragmented opcode {opcode}": (frame(opcode, first=0), 1002) for opcode in (_CLOSE, _PING, _PONG)},
    **{f"long opcode {opcode}": (frame(opcode, b"a" * 126), 1002) for opcode in (_CLOSE, _PING, _PONG)},
    **{f"close code {code}": (frame(_CLOSE, struct.pack(">H", code)), 1002) for code in (0, 999, 1004, 1005, 2999)},
    "close code of one byte": (frame(_CLOSE, b"\3"), 1002),
    "close reason": (frame(_CLOSE, b"\3\xe8\xff"), 1007),
    "invalid UTF-8": (frame(_TEXT, b"\xff\xfe"), 1007),
    "lone surrogate": (frame(_TEXT, b"\xed\xa0\x80"), 1007),
    "nothing to continue": (frame(0, b"a"), 1002),
    "text within a text": (frame(_TEXT, b"a", first=0) + frame(_TEXT, b"b"), 1002),
    "too large": (frame(_TEXT, b"a" * 1025), 1009),
    "large in parts": (frame(_TEXT, b"a" * 1000, first=0) + frame(0, b"a" * 1000), 1009),
    "too large, binary": (frame(_BINARY, bytes(60_000)), 1009),
    "announces 2 GB": (frame(_BINARY, size=1 << 31), 1009),
    "announces 9 EB": (frame(_BINARY, size=(1 << 63) - 1), 1009),
    "too many": (frame(_TEXT, b"a") * 100, 1008),
}

frames = st.lists(
    st.one_of(
        st.builds(
            lambda first, payload, mask, size: frame(first & 0x0F, payload, first=first & 0xF0, mask=mask, size=size),
            st.integers(0, 255),
            st.binary(max_size=130),
            st.sampled_from([0x80, 0x80, 0]),
            st.one_of(st.none(), st.none(), st.integers(0, 1 << 62)),
        ),
        st.binary(min_size=1, max_size=100),
        st.sampled_from([frames for frames, _ in FRAMES.values()]),
    ),
    min_size=1,
    max_size=5,
).map(b"".join)
