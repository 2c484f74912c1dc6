"""Credentials as programs have them."""

from urllib.parse import parse_qsl, unquote


class Credentials:
    """Keeps the access token out of everything that is printed."""

    __slots__ = ("api_key", "_access_token")

    def __init__(self, api_key: str, access_token: str) -> None:
        self.api_key = api_key
        self._access_token = access_token

    def __repr__(self) -> str:
        return "<credentials>"

    def __getstate__(self) -> object:
        raise TypeError("credentials are not pickled")

    def check(self) -> None:
        """Raises TypeError if one is no text. The error does not show it."""
        for name, value in (("api_key", self.api_key), ("access_token", self._access_token)):
            if not isinstance(value, str):
                raise TypeError(f"{name} is of type {type(value).__name__}; it must be a str")

    def check_given(self) -> None:
        """Raises as `check` does, and ValueError if one is empty."""
        self.check()
        for name, value in (("api_key", self.api_key), ("access_token", self._access_token)):
            if not value:
                raise ValueError(f"{name} is empty; it must be that of your app, or of a Sim")

    def token(self) -> str:
        """Returns the token, unescaped, since programs escape what goes into a URL by themselves."""
        return unquote(self._access_token.partition("&")[0])

    def parameters(self) -> list[tuple[str, str]]:
        """Returns the parameters that were appended to the token."""
        return parse_qsl(self._access_token.partition("&")[2])
