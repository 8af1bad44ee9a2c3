"""The work that every contender does."""

from attrs import field, frozen

from bench.backend import BODY


# Paths that the server behind knows, and what it answers there.
SMALL, LARGE, POSTED = "/small", "/large", "/posted"
ANSWERS = {SMALL: BODY, LARGE: BODY * 100, POSTED: BODY}


@frozen
class Work:
    """So many calls a round, all alike, by `callers` at a time, each one call after the other.

    With `kept` each caller keeps its connection, else each call has a new one. `posted` is the
    length of a body that is sent along, in bytes.
    """

    key: str
    title: str
    calls: int
    path: str = SMALL
    tls: str = "1.3"
    kept: bool = True
    posted: int | None = None
    callers: int = 8

    @property
    def length(self) -> int:
        """Bytes of the answer."""
        return len(ANSWERS[self.path])

    def times(self, share: float) -> int:
        """The calls of a round, where only a share of them is wanted; each caller has one."""
        return max(self.callers, round(self.calls * share))


CONNECT, CONNECT_12 = "connect", "connect-1.2"
GET, GET_12, GET_LARGE = "get", "get-1.2", "get-large"
POST, POST_LARGE = "post", "post-large"

# As many calls as take about a second of a CPU.
WORKS = (
    Work(CONNECT, "New connection, one GET of 1 kB, TLS 1.3", 600, kept=False),
    Work(CONNECT_12, "New connection, one GET of 1 kB, TLS 1.2", 600, kept=False, tls="1.2"),
    Work(GET, "Kept connection, GET of 1 kB, TLS 1.3", 8000),
    Work(GET_12, "Kept connection, GET of 1 kB, TLS 1.2", 8000, tls="1.2"),
    Work(GET_LARGE, "Kept connection, GET of 100 kB", 2500, LARGE),
    Work(POST, "Kept connection, POST of 2 kB", 6000, POSTED, posted=2048),
    Work(POST_LARGE, "Kept connection, POST of 1 MB", 150, POSTED, posted=1 << 20),
)


@frozen
class Extent:
    """How much of it is done: `share` of each work's calls, so many `rounds`.

    `seconds` is how long calls are paced, `held` how many connections are held.
    """

    rounds: int
    works: tuple[Work, ...] = field(default=WORKS)
    share: float = 1.0
    seconds: float = 1.5
    held: int = 1000
