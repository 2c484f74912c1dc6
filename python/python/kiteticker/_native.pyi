from datetime import tzinfo
from typing import Any, final

__all__ = ["Feed", "__version__", "parse"]

__version__: str

def parse(frame: bytes, tz: tzinfo | None = None) -> list[dict[str, Any]]:
    """Returns the ticks of a frame as on_ticks receives them. If the frame is damaged, those before
    the damage."""

@final
class Feed:
    """The sockets of a ticker, from a connect to a close."""

    def __new__(
        cls,
        api_key: str,
        access_token: str,
        subscriptions: list[tuple[int, str]],
        tz: Any,
        settings: Any,
    ) -> Feed: ...
    def next(
        self, timeout: float, wants_ticks: bool, wants_messages: bool
    ) -> tuple[Any, ...] | None: ...
    def wake(self) -> None: ...
    def subscribe(self, tokens: list[int], mode: str | None = None) -> None: ...
    def unsubscribe(self, tokens: list[int]) -> None: ...
    def tokens(self) -> list[int]: ...
    def set_access_token(self, access_token: str) -> None: ...
    def close(self) -> None: ...
    def wait_closed(self, timeout: float) -> bool: ...
    @property
    def sockets(self) -> int: ...
